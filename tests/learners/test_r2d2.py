"""R2-D2: the last layer of each task solves a ridge regression, and is differentiated through."""

import pytest
import torch
from torch import nn

from fewstep import R2D2, InputError, TaskBatch
from fewstep.learners import r2d2
from tests.learners.shared import assert_unchanged_by_calls, gradient_error

FEATURES = 4


def model(*, bias=True, outputs=2):
    torch.manual_seed(0)
    body = (nn.Linear(FEATURES, 6), nn.BatchNorm1d(6), nn.Tanh())
    return nn.Sequential(*body, nn.Linear(6, outputs, bias=bias)).double()


def make_tasks(shots=5, outputs=2, tasks=2):
    random = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(tasks, *shape, generator=random, dtype=torch.float64)

    return TaskBatch(
        draw(shots, FEATURES), draw(shots, outputs), draw(7, FEATURES), draw(7, outputs)
    )


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
@pytest.mark.parametrize("shots", [5, 12])  # fewer and more than there are features
def test_finite_differences(norm, execution, shots):
    learner = R2D2(model(), norm=norm, execution=execution)
    assert gradient_error(learner, make_tasks(shots)) < 1e-6


def test_without_a_bias_or_a_body():
    for network in (model(bias=False), nn.Linear(FEATURES, 2).double()):
        assert gradient_error(R2D2(network), make_tasks()) < 1e-6


def test_a_solution_taken_for_a_constant_is_noticed(monkeypatch):
    real = r2d2.ridge

    def constant(features, *others):
        return real(features.detach(), *others)

    monkeypatch.setattr(r2d2, "ridge", constant)
    assert gradient_error(R2D2(model()), make_tasks()) > 1e-3


@pytest.mark.parametrize("shots", [3, 9])
def test_the_solution_minimises_the_penalised_error(shots):
    tasks, network = make_tasks(shots, tasks=1), nn.Linear(FEATURES, 2).double()
    learner = R2D2(network, penalty=3.0)
    adapted = learner.adapt(tasks.support_x[0], tasks.support_y[0])
    errors = (adapted(tasks.support_x[0]) - tasks.support_y[0]).square().sum()
    away = sum(
        (own - prior.detach()).square().sum()
        for own, prior in zip(adapted.parameters(), network.parameters(), strict=True)
    )
    slopes = torch.autograd.grad(errors + 3 * away, list(adapted.parameters()))
    assert max(slope.abs().max() for slope in slopes) < 1e-9


def test_steps_lead_from_the_model_to_the_solution():
    tasks, network = make_tasks(), model()
    losses = R2D2(network, norm="inductive").evaluate(tasks, 3).losses
    assert (losses[:, 1] == losses[:, 3]).all()
    adapted = R2D2(network, norm="inductive")
    for steps, column in ((0, 0), (1, 1), (3, 1)):
        found = adapted.adapt(tasks.support_x[1], tasks.support_y[1], steps)
        loss = (found(tasks.query_x[1]) - tasks.query_y[1]).square().mean()
        torch.testing.assert_close(loss, losses[1, column])


def test_a_large_penalty_keeps_the_prior_and_a_small_one_fits():
    tasks = make_tasks()
    kept, fitted = (
        R2D2(nn.Linear(FEATURES, 2).double(), penalty).adapt(tasks.support_x[0], tasks.support_y[0])
        for penalty in (1e12, 1e-9)
    )
    own = R2D2(nn.Linear(FEATURES, 2).double())
    assert (fitted(tasks.support_x[0]) - tasks.support_y[0]).abs().max() < 1e-6
    assert (kept.weight - own.model.weight).abs().max() > 0  # of other initial weights
    again = R2D2(kept, 1e12).adapt(tasks.support_x[0], tasks.support_y[0])
    torch.testing.assert_close(again.weight, kept.weight)


@pytest.mark.parametrize("shots", [(5, 4, 3), (9, 12, 3)])
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_padding_changes_nothing(execution, shots):
    parts = [make_tasks(number).task(0) for number in shots]
    parts = [(x, y, qx[: 3 + i], qy[: 3 + i]) for i, (x, y, qx, qy) in enumerate(parts)]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(FEATURES, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    learner = R2D2(network, execution=execution)
    gradients = [learner.meta_gradient(TaskBatch.stack([task]))[1] for task in parts]
    for name, value in learner.meta_gradient(TaskBatch.stack(parts))[1].items():
        expected = torch.stack([gradient[name] for gradient in gradients]).mean(0)
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)


def test_what_is_frozen_stays_and_the_rest_is_exact():
    network = model()
    network[-1].requires_grad_(False)
    learner = R2D2(network)
    assert "3.weight" not in learner.meta_gradient(make_tasks())[1]
    assert gradient_error(learner, make_tasks()) < 1e-6


def test_no_call_changes_the_model():
    assert_unchanged_by_calls(R2D2(model()), make_tasks())


def test_the_state_of_a_learner_comes_back():
    one, other = R2D2(model(), 3.0), R2D2(model(), 5.0)
    other.load_state_dict(one.state_dict())
    assert torch.equal(*(each.meta_parameters()["ridge.penalty"] for each in (one, other)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: R2D2(model(), 0.0), "penalty is 0.0; expected more than 0"),
        (lambda: R2D2(model(), loss="cross_entropy"), "R2D2 solves regressions"),
        (lambda: R2D2(nn.Conv1d(1, 1, 1)), r"no nn\.Linear inside"),
    ],
)
def test_settings_that_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_targets_that_do_not_fit():
    x, y = torch.randn(1, 3, FEATURES).double(), torch.randn(1, 3, 3).double()
    learner = R2D2(model(), loss=lambda prediction, _: prediction.square().mean())
    with pytest.raises(InputError, match=r"targets of a task are \[3, 3\].* solves for 2 numbers"):
        learner.meta_gradient(TaskBatch(x, y, x, y))
