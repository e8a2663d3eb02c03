"""Networks to export, with a task for each, and the example that runs their files."""

import sys
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from fewstep.models import conv4, mlp, resnet12
from fewstep.models.series import conv1d, gru, lstm

EDGE = Path(__file__).parents[2] / "examples" / "edge"


def adaptation(name):
    """The example's reader of exported files."""
    sys.path.insert(0, str(EDGE))
    try:
        return import_module("edge").Adaptation(name)
    finally:
        sys.path.remove(str(EDGE))


class Transformer(nn.Module):
    """A user's own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.encoder(self.first(x)).mean(1))


NETWORKS = {
    "conv4": (lambda: conv4(1, 16, 3, filters=4), (1, 16, 16)),
    "conv4-max-pool": (lambda: conv4(3, 16, 3, 4, "max-pool"), (3, 16, 16)),
    "resnet12": (lambda: resnet12(3, 3, widths=(2, 3, 4, 5)), (3, 16, 16)),
    "mlp": (lambda: mlp(2 + 8, (6,), 1, categories=(5, 3)), (10,)),
    "conv1d": (lambda: conv1d(6, 3, 1, width=5), (6, 3)),
    "lstm": (lambda: lstm(3, 1, width=5), (3, 3)),
    "gru": (lambda: gru(3, 1, layers=1, width=5), (3, 3)),
    "transformer": (Transformer, (5, 3)),
}


def network_and_task(name):
    """A network, its loss, and support examples with their targets."""
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    model, x = build(), torch.randn(6, *shape)
    of_numbers = model(x).shape[1] == 1
    y = torch.randn(6, 1) if of_numbers else torch.arange(6) % 3
    return model, F.mse_loss if of_numbers else F.cross_entropy, x, y


def apart(one, other):
    """The largest difference, in units of the largest number."""
    return float(abs(one - other).max() / abs(other).max())
