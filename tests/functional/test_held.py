"""What a model's code may read, to see whether it has changed."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep.functional.held import held_by, readers_in, token

FACTOR = 2.0


@dataclasses.dataclass
class Options:
    scale: float = 1.0


class _Slotted:
    __slots__ = ("scale",)


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.options, self.table = Options(), {"rows": [1, 2], "of": {"a"}}
        self.numbers, self.mask = numpy.ones(3), torch.ones(2)
        self.space, self.slotted = SimpleNamespace(deep=[Options()]), _Slotted()
        self.slotted.scale = 1.0

    def forward(self, x):
        return self.layer(x) * FACTOR


def _tokens(model, loss=F.mse_loss):
    held = held_by(readers_in(model), loss)
    return held, [token(value) for value in held]


CHANGES = {
    "attribute": lambda model: setattr(model, "options", Options()),
    "field": lambda model: setattr(model.options, "scale", 2.0),
    "list in a dict": lambda model: model.table["rows"].append(3),
    "set": lambda model: model.table["of"].add("b"),
    "array": lambda model: model.numbers.fill(2),
    "tensor": lambda model: model.mask.mul_(2),
    "deep": lambda model: setattr(model.space.deep[0], "scale", 2.0),
    "slot": lambda model: setattr(model.slotted, "scale", 2.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_seen(change):
    model = nn.Sequential(Reader())
    # Kept, so that no new object has the identity of an old one.
    first, before = _tokens(model)
    _, same = _tokens(model)
    assert same == before
    CHANGES[change](model[0])
    assert _tokens(model)[1] != before
    assert first


def test_global_names_and_the_loss_are_read_too(monkeypatch):
    model, weights = Reader(), [1.0]
    losses = (
        (lambda p, y: F.mse_loss(p, y) * weights[0]),
        partial(F.mse_loss, **{"weight": weights}),
    )
    before = [_tokens(model, loss) for loss in losses]
    weights[0] = 2.0
    after = [_tokens(model, loss) for loss in losses]
    assert all(a[1] != b[1] for a, b in zip(before, after, strict=True))
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert all(_tokens(model, loss)[1] != a[1] for loss, a in zip(losses, after, strict=True))


def test_layers_of_pytorch_read_nothing_else():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    assert held_by(readers_in(model), F.cross_entropy) == []
