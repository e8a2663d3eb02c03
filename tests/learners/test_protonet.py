"""A prototypical network classifies by the distance to the mean of each class."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import InputError, ProtoNet
from tests.factory import make_tasks
from tests.learners.shared import (
    WAYS,
    assert_adapted_as_evaluated,
    assert_unchanged_by_calls,
    gradient_error,
)


def model():
    torch.manual_seed(0)
    body = (nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3), nn.Tanh())
    return nn.Sequential(*body, nn.Linear(3, 2)).double()


def test_the_loss_is_that_of_the_paper():
    """Equations 1 and 2: softmax over negative squared distances to the means."""
    tasks, network = make_tasks(2), model()
    embed = network[:-1]
    evaluated = ProtoNet(network).evaluate(tasks, 0)
    for number in range(len(tasks)):
        support, y = embed(tasks.support_x[number]), tasks.support_y[number]
        means = torch.stack([support[y == k].mean(0) for k in range(WAYS)])
        distances = torch.cdist(embed(tasks.query_x[number]), means).square()
        loss = F.cross_entropy(-distances, tasks.query_y[number]).detach()
        torch.testing.assert_close(evaluated.losses[number, 0], loss)
        right = (distances.argmin(1) == tasks.query_y[number]).float().mean()
        assert evaluated.scores[number, 0] == right


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_finite_differences(norm, execution):
    learner = ProtoNet(model(), norm=norm, execution=execution)
    assert gradient_error(learner, make_tasks(2)) < 1e-6


def test_steps_change_nothing():
    tasks, learner = make_tasks(2), ProtoNet(model())
    evaluated = learner.evaluate(tasks, 3)
    assert evaluated.losses.shape == evaluated.scores.shape == (2, 4)
    assert (evaluated.losses == evaluated.losses[:, :1]).all()
    with pytest.raises(InputError, match="steps is -1; expected 0 or more"):
        learner.evaluate(tasks, -1)


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_an_adapted_module_does_as_the_evaluation_says(norm):
    assert_adapted_as_evaluated(ProtoNet(model(), norm=norm), make_tasks(2), 2)


def test_no_call_changes_the_model():
    assert_unchanged_by_calls(ProtoNet(model()), make_tasks(2))


def test_the_last_layer_is_not_learned():
    names = [name for name, _ in ProtoNet(model()).named_parameters()]
    assert names
    assert not any(name.startswith("5.") for name in names)
