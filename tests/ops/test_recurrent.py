"""Recurrent layers for all tasks at once are those of each task."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.utils.rnn import PackedSequence

from fewstep import MAML, InputError
from fewstep.functional.overrides import EAGER, TwiceDifferentiable
from tests.factory import make_tasks

SETTINGS = {
    "plain": {},
    "deep, both ways": {"num_layers": 2, "bidirectional": True},
    "no bias, time first": {"bias": False, "batch_first": False},
}
LAYERS = {
    **{(kind, name): s for kind in (nn.LSTM, nn.GRU, nn.RNN) for name, s in SETTINGS.items()},
    (nn.LSTM, "projected"): {"proj_size": 2},
    (nn.RNN, "relu"): {"nonlinearity": "relu"},
}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer[0].__name__}, {layer[1]}")
def test_every_output_is_that_of_each_task(layer):
    torch.manual_seed(0)
    module = layer[0](4, 5, **{"batch_first": True, **LAYERS[layer]}).double()
    weights = {n: torch.stack([p, 2 * p]) for n, p in module.named_parameters()}
    x = torch.randn(2, 3, 6, 4).double()

    def outputs(of_task, x):
        y, state = functional_call(module, of_task, (x,))
        return (y, *state) if isinstance(state, tuple) else (y, state)

    with TwiceDifferentiable(None, EAGER):
        found = vmap(outputs)(weights, x)
        for number in range(2):
            expected = outputs({n: w[number] for n, w in weights.items()}, x[number])
            for of_all, of_one in zip(found, expected, strict=True):
                torch.testing.assert_close(of_all[number], of_one)


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.GRU(1, 3), nn.Linear(3, 3)

    def forward(self, x):
        packed = PackedSequence(x.t().reshape(-1, 1), torch.full((x.shape[1],), len(x)))
        return self.head(self.body(packed)[1][-1])


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.LSTM(1, 3, 2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.body(x.unsqueeze(-1))[0][:, -1])


@pytest.mark.parametrize(("model", "told"), [(Packed, "packed"), (Dropping, "random")])
def test_refused_for_all_tasks_at_once(model, told):
    tasks = make_tasks(2, 2, 2, (4,))
    loss, _ = MAML(model().double(), 0.1).meta_gradient(tasks)
    assert loss > 0
    with pytest.raises(InputError, match=rf"'body' .*cannot be vectorised over tasks .*{told}"):
        MAML(model().double(), 0.1, execution="vectorised").meta_gradient(tasks)
