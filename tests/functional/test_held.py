"""Values that a model's code may read, to see whether one has changed."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep.functional.held import TOO_MUCH, held_by, readers_in, token
from fewstep.functional.read_by import read_by

FACTOR = 2.0
WEIGHT = {"of": 1.0}


class Config:
    weight = 1.0


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


def _helper(x):
    return x * WEIGHT["of"]


class _Methods(Reader):
    factor = 1.0

    def forward(self, x):
        return self.head(x)

    def head(self, x):
        return self.layer(x) * self.scale * Config.weight

    @property
    def scale(self):
        return _helper(1.0)


class _Trainer:
    def __init__(self):
        self.weight, self.steps = 1.0, 0

    def loss(self, prediction, target):
        return self._inner(prediction, target)

    def _inner(self, prediction, target):
        return F.mse_loss(prediction, target) * self.weight


class _Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.of = {"weight": 1.0}

    def forward(self, prediction, target):
        return _helper(F.mse_loss(prediction, target)) * self.of["weight"]


def _hooked():
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda _, __, output: _helper(output))
    return layer


OUTSIDE = {
    "a class variable": (_Methods(), lambda: setattr(_Methods, "factor", 2.0)),
    "a class that is read": (_Methods(), lambda: setattr(Config, "weight", 2.0)),
    "by a property's function": (_Methods(), lambda: WEIGHT.update(of=2.0)),
    "by a hook": (_hooked(), lambda: WEIGHT.update(of=3.0)),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_code_that_forward_calls_is_followed(case):
    model, change = OUTSIDE[case]
    first, before = _tokens(model)
    assert _tokens(model)[1] == before
    change()
    assert _tokens(model)[1] != before
    assert first


def test_a_loss_that_is_a_method_or_module_is_read():
    """Of an object with much beside, that alone which the method names."""
    trainer, module, layer = _Trainer(), _Loss(), nn.Linear(2, 2)
    loss = trainer.loss
    first, before = _tokens(layer, loss)
    trainer.steps += 1
    # A method is a new object each time it is named; a learner has one.
    assert _tokens(layer, loss)[1] == before
    trainer.weight = 2.0
    assert _tokens(layer, loss)[1] != before
    second, before = _tokens(layer, module)
    module.of["weight"] = 2.0
    assert _tokens(layer, module)[1] != before
    assert first
    assert second


def test_layers_of_pytorch_with_more_than_settings_are_read():
    """A list as a size, or an activation with arguments; the weights of a layer are given."""
    pool, lstm = nn.MaxPool1d([2]), nn.LSTM(2, 2)
    encoder = nn.TransformerEncoderLayer(4, 2, 8, activation=partial(F.leaky_relu))
    first, before = _tokens(nn.ModuleList([pool, encoder, lstm]))
    lstm.weight_hh_l0.data.mul_(2)
    with torch.no_grad():
        lstm.weight_hh_l0.mul_(2)
    assert _tokens(nn.ModuleList([pool, encoder, lstm]))[1] == before
    pool.kernel_size[0] = 3
    second, changed = _tokens(nn.ModuleList([pool, encoder, lstm]))
    assert changed != before
    encoder.activation = partial(F.leaky_relu, negative_slope=0.5)
    assert _tokens(nn.ModuleList([pool, encoder, lstm]))[1] != changed
    assert first
    assert second


def test_a_module_in_a_plain_list_is_read():
    model = Reader()
    model.numbers = [nn.LeakyReLU(0.1)]
    first, before = _tokens(model)
    model.numbers[0].negative_slope = 0.5
    assert _tokens(model)[1] != before
    assert first


def test_hooks_of_all_modules_are_read():
    before = _tokens(nn.Linear(2, 2))[1]
    hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert _tokens(nn.Linear(2, 2))[1] != before
    finally:
        hook.remove()


@pytest.mark.parametrize("much", [list(range(20_000)), numpy.ones(2**18)], ids=["many", "large"])
def test_more_than_can_be_looked_through_is_told(much):
    model = Reader()
    model.numbers = much
    assert _tokens(model)[0][-1] is TOO_MUCH


def test_what_is_not_written_in_python_reads_nothing():
    assert read_by(torch.tanh) == []
    assert read_by(len) == []


scale = 1.0


class Namesake(nn.Module):
    """Has an attribute with the name of something in its module that it does not read."""

    scale = 2.0

    def forward(self, x):
        return [x * self.scale for _ in range(FACTOR > 0)]


def test_an_attribute_is_not_what_is_called_the_same(monkeypatch):
    model = Namesake()
    before = _tokens(model)[1]
    monkeypatch.setitem(globals(), "scale", 3.0)
    assert _tokens(model)[1] == before
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert _tokens(model)[1] != before
