"""A module has other tensors for a while and is then as it was."""

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError, TaskBatch
from fewstep.functional.call import PureModel, functional_call
from tests.snapshot import differences, snapshot


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_a_layer_under_two_names_stays_the_models_own(execution):
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(4, 2))
    weight, before = layer.weight, snapshot(model)
    x, y = torch.randn(3, 4, 4), torch.arange(2).repeat(3, 2)
    learner = MAML(model, 0.1, 2, execution=execution)
    first, second = (learner.meta_gradient(TaskBatch(x, y, x, y))[1] for _ in range(2))
    assert layer.weight is weight
    assert not differences(before, snapshot(model))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("way", [PureModel.having, PureModel.traceable])
def test_a_call_puts_back_a_layer_under_two_names(way):
    layer = nn.Linear(4, 4)
    model, weight = nn.Sequential(layer, nn.Tanh(), layer), layer.weight
    pure = PureModel(model)
    with way(pure, {name: p.detach() + 1 for name, p in model.named_parameters()}):
        pure.predict(torch.randn(2, 4))
    assert layer.weight is weight


class Tied(nn.Module):
    """A weight of two layers, and a layer in two places."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(3, 3, bias=False), nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.c = self.d = nn.BatchNorm1d(3, affine=False).eval()

    def forward(self, x):
        return self.d(self.b(self.c(self.a(x)).tanh()))


def _other():
    return torch.arange(9.0).view(3, 3)


@pytest.mark.parametrize("place", [{"b.weight": _other()}, {"d.running_mean": _other()[1]}])
def test_what_is_tied_has_two_names(place):
    x, model = torch.randn(4, 3), Tied()
    ((name, value),) = place.items()
    first = {"b": "a", "d": "c"}[name[0]] + name[1:]
    expected = torch.func.functional_call(model, place, x)
    for given in (place, {first: value}, {first: value, name: value}):
        assert torch.equal(functional_call(model, given, x), expected)


def test_names_that_are_no_place_for_a_tensor():
    x, model = torch.randn(4, 3), Tied()
    with pytest.raises(InputError, match=r"'a.weight' and 'b.weight' are two .*; give one"):
        functional_call(model, {"a.weight": _other(), "b.weight": _other()}, x)
    with pytest.raises(InputError, match=r"'a.wieght'; .* such as 'a.weight'"):
        functional_call(model, {"a.wieght": _other()}, x)
