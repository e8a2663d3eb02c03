"""Tasks that do not fit the model or the loss: one line each."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from fewstep import MAML, InputError, TaskBatch
from tests.factory import cnn, make_pictures, make_tasks, mlp


def network():
    return cnn(nn.ReLU(), nn.Dropout(0.1))


@pytest.mark.parametrize("bad", [-1, 3])
@pytest.mark.parametrize("part", ["support_y", "query_y"])
def test_labels_out_of_range(bad, part):
    tasks = make_pictures()
    getattr(tasks, part)[1, 0] = bad
    learner = MAML(network())
    for call in (learner.meta_gradient, lambda tasks: learner.evaluate(tasks, 1)):
        with pytest.raises(InputError, match=rf"labels run from .*{bad}.*expected labels from 0"):
            call(tasks)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(ignore_index=7)])
def test_labels_of_a_loss_module(loss):
    tasks = make_pictures()
    tasks.query_y[2, 1] = 3
    with pytest.raises(InputError, match="labels run from 0 to 3"):
        MAML(network(), loss=loss).meta_gradient(tasks)
    tasks.query_y[2, 1] = loss.ignore_index
    MAML(network(), loss=loss).meta_gradient(tasks)


def test_targets_that_would_be_stretched():
    x, y = torch.randn(2, 5, 4), torch.randn(2, 5)
    with pytest.raises(
        InputError, match=r"prediction of shape \[5, 1\] and targets of shape \[5\]"
    ):
        MAML(nn.Linear(4, 1), loss=F.mse_loss).meta_gradient(TaskBatch(x, y, x, y))


def test_a_single_query_example_under_batch_norm():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    x, y = torch.randn(2, 5, 4), torch.zeros(2, 5, dtype=torch.int64)
    with pytest.raises(InputError, match=r"does not take query examples of shape \[1, 4\]"):
        MAML(model).meta_gradient(TaskBatch(x, y, x[:, :1], y[:, :1]))


def test_pictures_of_another_size():
    x, y = torch.randn(1, 3, 1, 5, 5), torch.arange(3)[None]
    with pytest.raises(InputError, match=r"does not take support examples of shape \[3, 1, 5, 5\]"):
        MAML(network()).meta_gradient(TaskBatch(x, y, x, y))


def test_targets_that_do_not_fit_the_loss():
    tasks = make_pictures()
    tasks = TaskBatch(tasks.support_x, torch.randn(3, 3, 7), tasks.query_x, torch.randn(3, 6, 7))
    with pytest.raises(InputError, match="the loss does not take a prediction of shape"):
        MAML(network()).meta_gradient(tasks)


def test_a_loss_that_is_no_scalar():
    learner = MAML(network(), loss=lambda p, t: F.cross_entropy(p, t, reduction="none"))
    with pytest.raises(InputError, match=r"the loss returned \[3\]; expected .* single value"):
        learner.meta_gradient(make_pictures())
    with pytest.raises(InputError, match="the loss returned float; expected"):
        MAML(network(), loss=lambda p, t: 0.5).meta_gradient(make_pictures())


@pytest.mark.parametrize("target", [torch.randn(2, 5, 1), torch.zeros(2, 5, dtype=torch.int64)])
def test_cross_entropy_of_one_number_is_refused(target):
    x = torch.randn(2, 5, 4)
    with pytest.raises(InputError, match=r"one number an example.*loss=F.mse_loss"):
        MAML(nn.Linear(4, 1)).meta_gradient(TaskBatch(x, target, x, target))


def test_another_head_is_looked_at_again():
    model, tasks = mlp(), make_tasks()
    learner = MAML(model)
    learner.meta_gradient(tasks)
    more = dataclasses.replace(tasks, query_y=tasks.query_y + 2)
    with pytest.raises(InputError, match="labels run from"):
        learner.meta_gradient(more)
    model[2] = nn.Linear(6, 5).double()
    learner.meta_gradient(more)
    model[2] = nn.Linear(6, 3).double()
    with pytest.raises(InputError, match="labels run from"):
        learner.meta_gradient(more)


class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.head = nn.Linear(4, 4), None

    def forward(self, x):
        if self.head is None:
            self.head = nn.Linear(4, 3)
        return self.head(self.net(x))


def test_layers_that_are_made_in_the_first_call():
    x, y = torch.randn(2, 6, 4), torch.randint(3, (2, 6))
    model = Late()
    with pytest.raises(InputError, match=r"makes its parameter 'head.weight' when it is called"):
        MAML(model).meta_gradient(TaskBatch(x, y, x, y))
    assert model.head is None
    model(x[0])
    MAML(model).meta_gradient(TaskBatch(x, y, x, y))


def test_parametrizations_that_are_kept():
    model = mlp()
    parametrizations.weight_norm(model[0])
    with parametrize.cached(), pytest.raises(InputError, match=r"parametrize.cached\(\) is active"):
        MAML(model).meta_gradient(make_tasks())


def test_a_loss_without_a_gradient():
    for loss in (
        lambda p, y: F.cross_entropy(p.detach(), y),
        lambda p, y: p.sum() * 0 + 1 if False else torch.ones(()),
        lambda p, y: (p * 1j).sum(),
    ):
        with pytest.raises(InputError, match="the loss has no gradient"):
            MAML(mlp(), loss=loss).meta_gradient(make_tasks())


class Clipped(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        self.net[0].weight.data.clamp_(-0.1, 0.1)
        return self.net(x)


def test_a_parameter_that_is_changed_in_place_is_named():
    model = Clipped()
    before = model.net[0].weight.clone()
    with pytest.raises(InputError, match=r"changes its parameter 'net.0.weight' in place"):
        MAML(model).meta_gradient(make_tasks())
    assert torch.equal(model.net[0].weight, before)
