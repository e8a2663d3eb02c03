"""The models whose meta-gradient has to be exact: one case a layer kind."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep import MAML, TaskBatch

CLASSES = 3


@dataclass(frozen=True)
class Case:
    """A model and the shape of one example of it.

    Attributes:
        tokens: Examples are integers.
        vectorised: Whether the model can be vectorised over tasks.
        norms: Which treatments of batch norm make a difference.
        single: PyTorch has a fused kernel for it in float32.
    """

    name: str
    shape: tuple[int, ...]
    build: Callable[[], nn.Module]
    loss: Callable[..., Tensor] = F.cross_entropy
    tokens: bool = False
    vectorised: bool = True
    norms: tuple[str, ...] = ("transductive",)
    single: bool = False

    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return self.build().double()

    def tasks(self, number: int = 2, support: int = 4, query: int = 5) -> TaskBatch:
        generator = torch.Generator().manual_seed(1)

        def targets(examples):
            if self.loss is F.cross_entropy:
                return torch.randint(CLASSES, (number, examples), generator=generator)
            shape = (number, examples, CLASSES)
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        def inputs(examples):
            shape = (number, examples, *self.shape)
            if self.tokens:
                return torch.randint(7, shape, generator=generator)
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        return TaskBatch(inputs(support), targets(support), inputs(query), targets(query))

    def learner(self, steps: int, model: nn.Module | None = None, **settings) -> MAML:
        settings = {"inner_lr": 0.2, "loss": self.loss, **settings}
        return MAML(model or self.model(), inner_steps=steps, **settings)


class Attention(nn.Module):
    def __init__(self, need_weights: bool):
        super().__init__()
        self.need_weights = need_weights
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        x, _ = self.attention(x, x, x, need_weights=self.need_weights)
        return self.head(x.mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **settings):
        super().__init__()
        self.body = kind(4, 5, batch_first=True, **settings)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x):
        return self.head(self.body(x)[0][:, -1])


def _twice():
    """One layer under two names."""
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(4, CLASSES))


class Tied(nn.Module):
    """An encoder and a decoder that share one weight."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight

    def forward(self, x):
        return self.decoder(self.encoder(x).tanh())[:, :CLASSES]


class Counting(nn.Module):
    """Writes to its buffers in place and anew, and its output depends on them."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, CLASSES)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.mean = 0.9 * self.mean + 0.1 * self.body(x).mean()
        return self.body(x).tanh() * self.calls + self.mean


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


def _mlp(*middle: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), *middle, nn.Linear(6, CLASSES))


def _images(*middle: nn.Module, features: int = 64) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), *middle, nn.Flatten(), nn.Linear(features, CLASSES))


def _first_block() -> nn.Module:
    """Of filters enough for their batch norm to be folded into them."""
    block = (nn.Conv2d(1, 12, 2), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*block, nn.Flatten(), nn.Linear(48, CLASSES))


def _signals(*middle: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 4, 3), *middle, nn.Flatten(), nn.Linear(16, CLASSES))


def _frozen() -> nn.Module:
    model = _mlp(nn.Tanh())
    model[0].weight.requires_grad_(False)
    return model


def _frozen_norm() -> nn.Module:
    model = _images(nn.BatchNorm2d(4), nn.Tanh())
    model[1].eval()
    model[1].running_mean.fill_(0.3)
    return model


def _encoder(**settings) -> nn.Module:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, **settings)
    return nn.Sequential(layer, Mean(), nn.Linear(4, CLASSES))


_VECTOR, _SERIES, _SIGNAL, _IMAGE = (4,), (3, 4), (2, 6), (2, 6, 6)
_BOTH = ("transductive", "inductive")

CASES = (
    Case("linear", _VECTOR, lambda: nn.Linear(4, CLASSES)),
    Case("mse", _VECTOR, lambda: _mlp(nn.Tanh()), loss=F.mse_loss),
    Case("huber", _VECTOR, lambda: _mlp(nn.Tanh()), loss=F.huber_loss),
    Case("relu", _VECTOR, lambda: _mlp(nn.ReLU())),
    Case("gelu", _VECTOR, lambda: _mlp(nn.GELU())),
    Case("silu", _VECTOR, lambda: _mlp(nn.SiLU())),
    Case("tanh", _VECTOR, lambda: _mlp(nn.Tanh())),
    Case("batch-norm-1d", _VECTOR, lambda: _mlp(nn.BatchNorm1d(6), nn.Tanh()), norms=_BOTH),
    Case("layer-norm", _VECTOR, lambda: _mlp(nn.LayerNorm(6), nn.Tanh())),
    Case("rms-norm", _VECTOR, lambda: _mlp(nn.RMSNorm(6), nn.Tanh())),
    Case("conv-1d", _SIGNAL, lambda: _signals(nn.Tanh())),
    Case("batch-norm-signal", _SIGNAL, lambda: _signals(nn.BatchNorm1d(4), nn.SiLU()), norms=_BOTH),
    Case("conv-2d", _IMAGE, lambda: _images(nn.Tanh())),
    Case("batch-norm-2d", _IMAGE, lambda: _images(nn.BatchNorm2d(4), nn.ReLU()), norms=_BOTH),
    Case(
        "convolutional-block",
        _IMAGE,
        lambda: _images(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), features=16),
        norms=_BOTH,
    ),
    Case("first-block", (1, 6, 6), _first_block, norms=_BOTH),
    Case("batch-norm-in-eval-mode", _IMAGE, _frozen_norm),
    Case("group-norm", _IMAGE, lambda: _images(nn.GroupNorm(2, 4), nn.Tanh())),
    Case("instance-norm", _IMAGE, lambda: _images(nn.InstanceNorm2d(4, affine=True), nn.Tanh())),
    Case("max-pool", _IMAGE, lambda: _images(nn.MaxPool2d(2), nn.Tanh(), features=16)),
    Case("average-pool", _IMAGE, lambda: _images(nn.AvgPool2d(2), nn.Tanh(), features=16)),
    Case(
        "embedding",
        (3,),
        lambda: nn.Sequential(nn.Embedding(7, 4), Mean(), _mlp(nn.Tanh())),
        tokens=True,
    ),
    Case("attention-weights", _SERIES, lambda: Attention(need_weights=True), single=True),
    Case("attention-fused", _SERIES, lambda: Attention(need_weights=False), single=True),
    Case("transformer", _SERIES, lambda: _encoder(dropout=0.0), single=True),
    Case("transformer-dropout", _SERIES, _encoder, vectorised=False),
    Case("lstm", _SERIES, lambda: Recurrent(nn.LSTM), single=True),
    Case("gru", _SERIES, lambda: Recurrent(nn.GRU), single=True),
    Case("rnn", _SERIES, lambda: Recurrent(nn.RNN)),
    Case(
        "lstm-dropout",
        _SERIES,
        lambda: Recurrent(nn.LSTM, num_layers=2, dropout=0.3),
        vectorised=False,
    ),
    Case("tied", _VECTOR, Tied),
    Case("layer used twice", _VECTOR, _twice),
    Case("frozen", _VECTOR, _frozen),
    Case("buffers", _VECTOR, Counting),
    Case("dropout", _VECTOR, lambda: _mlp(nn.Tanh(), nn.Dropout(0.3)), vectorised=False),
)
