"""Changes of a module show, and then things are made again."""

from operator import is_

import pytest
import torch
from torch import nn

from fewstep.functional.structure import Latest, structure


def _model():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Tanh()))


def _same(first, second):
    return len(first) == len(second) and all(map(is_, first, second))


def _train(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.randn(4, 2)).sum().backward()
    optimizer.step()


CHANGES = {
    "another layer": lambda model: model[2].__setitem__(0, nn.ReLU()),
    "one layer more": lambda model: model.append(nn.ReLU()),
    "another parameter": lambda model: setattr(model[0], "bias", nn.Parameter(torch.zeros(3))),
    "one parameter less": lambda model: model[0].register_parameter("bias", None),
    "a fixed parameter": lambda model: model[0].weight.requires_grad_(False),
    "another buffer": lambda model: setattr(model[1], "running_mean", torch.zeros(3)),
    "another mode": lambda model: model[2].eval(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_shows(change):
    model = _model()
    before = structure(model)
    change(model)
    assert not _same(before, structure(model))


def test_training_does_not_show():
    model = _model()
    before = structure(model)
    _train(model)
    assert _same(before, structure(model))


def test_the_latest_is_kept_while_it_is_made_of_the_same():
    latest, made = Latest(), []

    def of(*made_of, lasting=True):
        return latest.of(list(made_of), lambda: made.append(0) or len(made), lambda _: lasting)

    one, other = object(), object()
    assert [of(one), of(one), of(one, other), of(one, other), of(other), of(one)] == [
        *(1, 1, 2, 2),
        *(3, 4),
    ]
    assert of(other, lasting=False) == 5
    assert of(other) == 6
