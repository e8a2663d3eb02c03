"""A module has other tensors for a while and is then as it was."""

import pytest
import torch
from torch import nn

from fewstep import MAML, TaskBatch
from fewstep.functional.call import PureModel
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
