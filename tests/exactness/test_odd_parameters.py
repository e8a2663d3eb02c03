"""Parameters in odd places: in lists, in buffers, in closures."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError
from tests.exactness.paths import assert_as_plain
from tests.factory import make_tasks, mlp
from tests.snapshot import differences, snapshot


class BufferOfWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.register_buffer("first", self.net[0].weight)

    def forward(self, x):
        return self.net[2](torch.tanh(x @ self.first.T))


def test_a_buffer_that_is_a_parameter():
    model = BufferOfWeight()

    def call(params, x):
        hidden = torch.tanh(x @ params["net.0.weight"].T)
        return F.linear(hidden, params["net.2.weight"], params["net.2.bias"])

    assert_as_plain(model, model, call=call)


class Listed(nn.Module):
    """Holds its parameters in a list, beside the places where they belong."""

    def __init__(self, hold):
        super().__init__()
        self.net = mlp()
        self.held = hold(self.net[0].weight)

    def forward(self, x):
        return self.net(x) * next(iter(self.held)).square().mean()


def test_parameters_in_a_list_of_the_model():
    model = Listed(lambda weight: [weight])
    before = snapshot(model)

    def call(params, x):
        hidden = F.linear(x, params["net.0.weight"], params["net.0.bias"]).tanh()
        out = F.linear(hidden, params["net.2.weight"], params["net.2.bias"])
        return out * params["net.0.weight"].square().mean()

    assert_as_plain(model, model, call=call)
    assert not differences(before, snapshot(model))


def test_parameters_where_no_other_can_stand():
    model = Listed(lambda weight: (weight,))
    with pytest.raises(InputError, match=r"'held' of Listed holds the parameter 'net.0.weight'"):
        MAML(model).meta_gradient(make_tasks())
    weight = mlp()[0].weight
    model = nn.Sequential(nn.Linear(4, 6).double(), nn.Linear(6, 3).double())
    model[0].weight = weight
    learner = MAML(model, loss=lambda p, y: F.cross_entropy(p, y) + weight.square().sum())
    with pytest.raises(InputError, match=r"the loss holds the parameter '0.weight'"):
        learner.meta_gradient(make_tasks())
