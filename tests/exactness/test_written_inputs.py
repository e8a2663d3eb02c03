"""Modules that write to what they are called with."""

import pytest
import torch
from torch import nn

from fewstep import MAML
from tests.exactness.paths import assert_as_plain
from tests.exactness.user_modules import Modal
from tests.factory import make_tasks, mlp


class InPlace(nn.Module):
    """Changes what it is called with."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        x -= 1
        return self.net(x)


def test_inputs_that_a_model_changes_are_copies():
    model, tasks = InPlace(), make_tasks()
    before = tasks.support_x.clone(), tasks.query_x.clone()
    reference = lambda params, x: torch.func.functional_call(model, params, (x.clone(),))  # noqa: E731
    assert_as_plain(model, model, tasks, call=reference)
    assert torch.equal(tasks.support_x, before[0])
    assert torch.equal(tasks.query_x, before[1])


@pytest.mark.parametrize("training", [True, False])
def test_a_mode_that_writes_to_its_input(training):
    model = Modal(lambda x: x.mul_(1.5))
    if not training:
        model.act, model.forward = None, lambda x: model.net(x if model.training else x.mul_(1.5))
    tasks = make_tasks()
    before = tasks.support_x.clone(), tasks.query_x.clone()
    learner = MAML(model.train(not training))
    learner.meta_gradient(tasks)
    model.train(training)
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 1)
    if training:
        learner.adapt(*tasks.task(0)[:2])
    assert torch.equal(tasks.support_x, before[0])
    assert torch.equal(tasks.query_x, before[1])


class Clipping(nn.Module):
    """Writes to its input only where that is large, which the first task is not."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        x[x > 1.0] = 1.0
        return self.net(x)


def test_an_input_that_is_written_to_now_and_then():
    model, tasks = Clipping(), make_tasks()
    tasks.support_x[0].clamp_(max=0.5)
    before = tasks.support_x.clone()

    def call(params, x):
        return torch.func.functional_call(model, params, (x.clone(),))

    assert_as_plain(model, model, tasks, call=call, paths=("loop", "flat"))
    assert torch.equal(tasks.support_x, before)
