"""Losses that read the model, call it, or have parameters of their own."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import (
    MAML,
    ImplicitMAML,
    Reptile,
    check_gradient,
)
from tests.exactness.paths import PATHS
from tests.factory import make_tasks, mlp
from tests.plain import deviation, plain_meta_gradient
from tests.shares import meta_gradient
from tests.slopes import relative_error, slopes_of


class Bayesian(nn.Module):
    """Says in its forward how far its weights are from zero."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.kl = None

    def forward(self, x):
        self.kl = sum(p.square().sum() for p in self.net.parameters())
        return self.net(x)


def _penalised(model):
    return lambda p, y: (
        F.cross_entropy(p, y) + 0.05 * sum(q.square().sum() for q in model.parameters())
    )


@pytest.mark.parametrize("kind", ["parameters", "attribute"])
@pytest.mark.parametrize("settings", PATHS.values(), ids=PATHS)
def test_a_loss_that_reads_the_model_sees_it_adapted(kind, settings):
    model = mlp() if kind == "parameters" else Bayesian()
    loss = _penalised(model) if kind == "parameters" else _of_kl(model)
    _, expected = plain_meta_gradient(
        model,
        make_tasks(),
        0.4,
        2,
        lambda p, y, params: (
            F.cross_entropy(p, y) + 0.05 * sum(q.square().sum() for q in params.values())
        ),
    )
    model.kl = None
    found = MAML(model, 0.4, 2, loss=loss, **settings).meta_gradient(make_tasks())[1]
    assert deviation(found, expected) < 1e-10
    assert model.kl is None


def _of_kl(model):
    return lambda p, y: F.cross_entropy(p, y) + 0.05 * model.kl


class Weighted(nn.Module):
    """A loss with parameters of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64))
        self.fixed = nn.Parameter(torch.ones((), dtype=torch.float64), requires_grad=False)

    def forward(self, prediction, target):
        return F.cross_entropy(prediction * self.scale, target) * self.fixed


@pytest.mark.parametrize("settings", [*PATHS.values(), {"compile": True}])
def test_the_parameters_of_a_loss_are_learned_and_do_not_adapt(settings):
    learner = MAML(mlp(), 0.4, 2, loss=Weighted(), **settings)
    names = dict(learner.named_parameters())
    assert "loss.scale" in names
    assert "loss.fixed" not in names
    gradient = learner.meta_gradient(make_tasks())[1]
    slopes = slopes_of(lambda: learner.evaluate(make_tasks(), 2).losses[:, -1].mean(), names)
    assert relative_error(gradient, slopes) < 1e-6
    assert gradient["loss.scale"].norm() > 1e-3


def test_other_learners_learn_a_loss_too():
    model, loss = mlp(), Weighted()
    learner = ImplicitMAML(model, 0.3, 60, proximal=2.0, cg_steps=30, loss=loss)
    report = check_gradient(learner, make_tasks(2), directions=1)
    assert report.parameters["loss.scale"].deviation < 1e-5
    assert meta_gradient(learner, make_tasks(2))[1]["loss.scale"].norm() > 0
    reptile = Reptile(model, 0.3, loss=loss)
    assert meta_gradient(reptile, make_tasks())[1]["loss.scale"].norm() > 0


class WithLoss(nn.Module):
    """The loss is a method of the model, or of another module."""

    def __init__(self):
        super().__init__()
        self.net, self.scale = mlp(), nn.Parameter(torch.ones(3, dtype=torch.float64))

    def forward(self, x):
        return self.net(x)

    def measure(self, prediction, target):
        return F.cross_entropy(prediction * self.scale, target)


def test_a_loss_that_is_a_method():
    model, other = WithLoss(), WithLoss()
    inside = MAML(model, 0.4, 2, loss=model.measure)
    assert "loss.scale" not in dict(inside.named_parameters())
    assert check_gradient(inside, make_tasks(2)).exact
    outside = MAML(mlp(), 0.4, 2, loss=other.measure)
    assert "loss.scale" in dict(outside.named_parameters())
    assert check_gradient(outside, make_tasks(2)).exact


def test_a_loss_that_holds_the_parameters_in_a_list():
    model, tasks = mlp(), make_tasks()
    held = list(model.parameters())
    loss = lambda p, y: F.cross_entropy(p, y) + 0.1 * sum(q.square().sum() for q in held)  # noqa: E731
    for path in PATHS.values():
        assert check_gradient(MAML(model, 0.2, 2, loss=loss, **path), tasks).exact
    assert all(one is other for one, other in zip(held, model.parameters(), strict=True))


def test_a_loss_that_calls_the_model_again():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    more = torch.randn(5, 4, dtype=torch.float64)
    loss = lambda p, y: F.cross_entropy(p, y) + 0.1 * model(more).square().mean()  # noqa: E731
    for norm in ("transductive", "inductive"):
        learner = MAML(model, 0.2, 2, loss=loss, norm=norm)
        learner.evaluate(make_tasks(), 1)
        assert check_gradient(learner, make_tasks()).exact


class System(nn.Module):
    """A model and its loss in one module, as training frameworks have them."""

    def __init__(self):
        super().__init__()
        self.net, self.scale = mlp(), nn.Parameter(torch.ones(3, dtype=torch.float64))

    def step(self, prediction, target):
        return F.cross_entropy(prediction * self.scale, target)


def test_a_loss_whose_module_holds_the_model():
    system = System()
    learner = MAML(system.net, 0.2, 2, loss=system.step)
    names = dict(learner.named_parameters())
    assert set(names) == {*dict(system.net.named_parameters()), "loss.scale"}
    assert check_gradient(learner, make_tasks()).exact


def _shift(prediction, target):
    target += 1
    return F.cross_entropy(prediction, target - 1)


def _halve(prediction, target):
    return F.cross_entropy(prediction.mul_(0.5), target)


def test_losses_and_metrics_that_write():
    tasks, plain = make_tasks(), MAML(mlp(), 0.2, 2)
    for loss in (_shift, _halve):
        before = tasks.query_y.clone()
        metrics = {"first": _shift, "clamp": lambda p, y: p.clamp_(0).sum(), "last": _shift}
        learner = MAML(nn.Sequential(mlp()), 0.2, 2, loss=loss, metrics=metrics)
        loss, gradient = learner.meta_gradient(tasks)
        found = learner.evaluate(tasks, 2)
        assert torch.equal(tasks.query_y, before)
        torch.testing.assert_close(found.metrics["first"], found.metrics["last"])
        torch.testing.assert_close(found.losses[:, -1].mean(), loss)
        if learner.loss is _shift:
            assert deviation(gradient, plain.meta_gradient(tasks)[1]) < 1e-12
