"""Layers that would be silently wrong are refused by name."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from fewstep import MAML, ImplicitMAML, InputError, ProtoMAML, ProtoNet, Reptile, TaskBatch
from tests.factory import cnn, make_pictures, make_tasks


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4)

    def forward(self, x):
        return checkpoint(lambda x: self.body(x).tanh(), x, use_reentrant=False)


def test_activation_checkpointing():
    """Its second computation would use theta_0 in the place of the adapted parameters."""
    model = nn.Sequential(nn.Linear(4, 4), Checkpointed(), nn.Linear(4, 3))
    with pytest.raises(InputError, match=r"layer '1.*' .* uses activation checkpointing"):
        MAML(model, 0.5, 2).meta_gradient(make_tasks(2, dtype=torch.float32))


def test_other_hooks_on_saved_tensors_are_no_hindrance():
    with torch.autograd.graph.save_on_cpu():
        MAML(nn.Linear(4, 3), 0.5, 2).meta_gradient(make_tasks(2, dtype=torch.float32))


def test_an_embedding_that_rewrites_its_weight():
    model = nn.Sequential(nn.Embedding(7, 4, max_norm=0.1), nn.Flatten(), nn.Linear(12, 3))
    x, y = torch.randint(7, (2, 5, 3)), torch.arange(5).repeat(2, 1) % 3
    before = model[0].weight.clone()
    with pytest.raises(InputError, match="embedding '0' has max_norm"):
        MAML(model).meta_gradient(TaskBatch(x, y, x, y))
    assert torch.equal(model[0].weight, before)


def test_running_statistics_that_came_without_a_count():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3))
    model[0].running_mean.fill_(0.5)
    MAML(model.eval()).meta_gradient(make_tasks(2, dtype=torch.float32))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class Square(nn.Module):
    def forward(self, x):
        return Once.apply(x)


def test_an_operation_without_a_second_derivative():
    model = nn.Sequential(nn.Linear(4, 3), Square())
    for settings in ({}, {"memory": "flat"}, {"execution": "vectorised"}):
        with pytest.raises(InputError, match=r"has no second derivative .*once_differentiable"):
            MAML(model, **settings).meta_gradient(make_tasks(2, dtype=torch.float32))
    MAML(model, order="first").meta_gradient(make_tasks(2, dtype=torch.float32))


def test_only_learners_that_take_a_second_derivative_need_it():
    model = nn.Sequential(nn.Linear(4, 5), Square(), nn.Linear(5, 3))
    scheduled = MAML(model, first_order_steps=1)
    free = (MAML(model, order="first"), ProtoMAML(model, order="first"), ProtoNet(model))
    for learner in (*free, Reptile(model), scheduled):
        learner.meta_gradient(make_tasks(2, dtype=torch.float32))
    for learner in (ImplicitMAML(model), ProtoMAML(model), scheduled):
        with pytest.raises(InputError, match=r"has no second derivative .*once_differentiable"):
            learner.meta_gradient(make_tasks(2, dtype=torch.float32), outer_step=1)


@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_an_operation_whose_second_derivative_nobody_wrote(memory):
    learner = MAML(nn.Linear(4, 3), memory=memory, loss=F.multi_margin_loss)
    with pytest.raises(InputError, match=r"has no second derivative .*write it out"):
        learner.meta_gradient(make_tasks(2, dtype=torch.float32))


def test_checking_second_derivatives_draws_no_numbers():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    learner, batch = MAML(model, 0.5), make_tasks(2, dtype=torch.float32)
    torch.manual_seed(3)
    first, _ = learner.meta_gradient(batch)
    torch.manual_seed(3)
    assert torch.equal(learner.meta_gradient(batch)[0], first)


def test_the_layer_that_cannot_be_vectorised_is_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Dropout(0.5)), nn.Linear(4, 3))
    with pytest.raises(InputError, match=r"layer '1\.0' \(Dropout\) of the model cannot be vector"):
        MAML(model, execution="vectorised").meta_gradient(make_tasks(2, dtype=torch.float32))


class Branching(nn.Module):
    """A layer or a loss that looks at a number, which vmap hides."""

    def forward(self, x, y=None):
        x = x if x.sum() > 0 else 2 * x
        return x if y is None else F.cross_entropy(x, y)


class Alone(nn.Linear):
    def forward(self, x):
        return super().forward(x) * (2 if x.sum() > 0 else 1)


class Around(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside = Branching()

    def forward(self, prediction, y):
        return self.inside(prediction, y)


BLAME = {
    "a layer": (
        *(nn.Sequential(Branching(), nn.Linear(4, 3)), F.cross_entropy),
        r"^layer '0' \(Branching\) of the model",
    ),
    "the model": (Alone(4, 3), F.cross_entropy, r"^the model \(Alone\)"),
    "the loss": (nn.Linear(4, 3), Branching(), r"^the loss \(Branching\)"),
    "of the loss": (nn.Linear(4, 3), Around(), r"^layer 'inside' \(Branching\) of the loss"),
    "a function": (
        *(nn.Linear(4, 3), lambda p, y: F.cross_entropy(p, y) * (2 if p.sum() > 0 else 1)),
        "^the loss cannot",
    ),
}


@pytest.mark.parametrize("case", BLAME)
def test_what_cannot_be_vectorised_is_model_or_loss(case):
    model, loss, told = BLAME[case]
    learner = MAML(model, loss=loss, execution="vectorised")
    with pytest.raises(InputError, match=told):
        learner.meta_gradient(make_tasks(2, dtype=torch.float32))


def test_batch_norm_that_was_never_trained_in_eval_mode():
    with pytest.raises(InputError, match="batch norm '1' is in eval mode"):
        MAML(cnn(nn.ReLU(), nn.Dropout(0.1)).eval()).meta_gradient(make_pictures())
