"""Modules that draw random numbers, from whatever generator."""

import random

import numpy
import pytest
import torch
from torch import nn

from fewstep import MAML, InputError
from tests.exactness.paths import PATHS
from tests.exactness.user_modules import Modal
from tests.factory import make_tasks, mlp
from tests.plain import deviation


def test_dropout_that_comes_later():
    torch.manual_seed(0)
    model, tasks = mlp(), make_tasks(16)
    model.insert(2, nn.Dropout(0.0))
    learner = MAML(model, 0.4, 2)
    learner.meta_gradient(tasks)
    model[2].p = 0.5
    torch.manual_seed(3)
    found = learner.meta_gradient(tasks)[1]
    torch.manual_seed(3)
    expected = MAML(model, 0.4, 2, execution="loop").meta_gradient(tasks)[1]
    assert deviation(found, expected) < 1e-12


class Depth(nn.Module):
    """Leaves a layer out at random (stochastic depth)."""

    def __init__(self, draw):
        super().__init__()
        self.body, self.more, self.draw = mlp(), nn.Linear(6, 6).double(), draw

    def forward(self, x):
        h = self.body[:2](x)
        if self.training and self.draw() < 0.5:
            h = self.more(h).tanh()
        return self.body[2](h)


DRAWS = {
    "torch": lambda: torch.rand(()),
    "python": random.random,
    "numpy": numpy.random.rand,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_random_depth_is_drawn_for_each_task(draw):
    model, tasks, found = Depth(draw), make_tasks(16), {}
    before = random.getstate(), numpy.random.get_state()[1].tolist()
    for name in ("loop", "flat", "auto"):
        torch.manual_seed(3)
        found[name] = MAML(model, 0.4, 3, **PATHS[name]).meta_gradient(tasks)[1]
    assert deviation(found["flat"], found["loop"]) < 1e-10
    assert deviation(found["auto"], found["loop"]) < 1e-12
    assert (random.getstate(), numpy.random.get_state()[1].tolist()) == before
    with pytest.raises(InputError, match=r"vectorise|vmap"):
        MAML(model, 0.4, 3, execution="vectorised").meta_gradient(tasks)


RNG = numpy.random.default_rng(0)


TORCH_RNG = torch.Generator().manual_seed(0)


def test_a_mode_that_draws_is_found_when_it_comes():
    model, tasks = Modal(lambda x: x + numpy.random.randn()), make_tasks(8)
    learner = MAML(model.eval(), execution="chunked")
    learner.meta_gradient(tasks)
    model.train()
    with pytest.raises(InputError, match="generator that is not PyTorch's own"):
        learner.meta_gradient(tasks)


GENERATORS = {
    "numpy": lambda: RNG.standard_normal(),
    "torch": lambda: torch.randn((), generator=TORCH_RNG, dtype=torch.float64),
}


@pytest.mark.parametrize("draw", GENERATORS.values(), ids=GENERATORS)
def test_generators_that_nobody_can_seed_again(draw):
    model, tasks = Modal(lambda x: x + draw()), make_tasks(8)
    MAML(model).meta_gradient(tasks)
    with pytest.raises(InputError, match="flat memory needs the same ones again"):
        MAML(model, memory="flat").meta_gradient(tasks)
    with pytest.raises(InputError, match="not PyTorch's own, which vmap would ask once"):
        MAML(model, execution="vectorised").meta_gradient(tasks)


def test_generators_of_the_model_itself_go_back():
    model, tasks = Modal(None), make_tasks()
    model.rng, model.more = numpy.random.default_rng(0), [torch.Generator().manual_seed(0)]
    model.act = lambda x: x + model.rng.standard_normal() + torch.rand((), generator=model.more[0])
    state = model.rng.bit_generator.state, model.more[0].get_state()
    found = [MAML(model, 0.1, 2, **PATHS[p]).meta_gradient(tasks)[1] for p in ("loop", "flat")]
    assert deviation(*found) < 1e-10
    assert model.rng.bit_generator.state == state[0]
    assert torch.equal(model.more[0].get_state(), state[1])
