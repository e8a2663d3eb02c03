"""Exactness for all that can be meta-learned, and for every setting of the inner loop."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML
from tests.exactness.cases import CASES
from tests.exactness.family import CASE, FAMILY, OUTER_STEP, STEPS, family_learner
from tests.exactness.paths import PATHS, TOLERANCE
from tests.plain import deviation
from tests.shares import differentiate
from tests.slopes import relative_error, slopes_of


def _gradient(learner):
    return learner.meta_gradient(CASE.tasks(), OUTER_STEP)[1]


@functools.cache
def _exact(name, path):
    return _gradient(family_learner(name, **PATHS[path]))


@functools.cache
def _slopes(name, part):
    """Of all learned tensors whose name starts with ``part``."""
    learner = family_learner(name, order="first")
    parameters = {
        n: p for n, p in learner.named_parameters() if p.requires_grad and n.startswith(part)
    }
    return slopes_of(lambda: learner.meta_gradient(CASE.tasks(), OUTER_STEP)[0], parameters)


def _error(gradient, slopes):
    names = slopes[0][0]
    return relative_error({name: gradient[name] for name in names}, slopes)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", FAMILY)
def test_finite_differences(name, path):
    assert _error(_exact(name, path), _slopes(name, "")) < TOLERANCE
    assert deviation(_exact(name, path), _exact(name, "loop")) < 1e-10


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("step sizes per step", "inner_lr."),
        ("meta-sgd", "inner_lr."),
        ("batch norm per step", "per_step."),
        ("maml++", "inner_lr."),
        ("maml++", "per_step."),
        ("cavia", "context"),
        ("all at once", "inner_lr."),
        ("one row, meta-sgd", "inner_lr."),
    ],
)
def test_finite_differences_of_what_is_learned_beside_the_model(name, part, path):
    assert _error(_exact(name, path), _slopes(name, part)) < TOLERANCE


@pytest.mark.parametrize("name", FAMILY)
def test_a_dropped_second_derivative_is_noticed(name):
    assert _error(_gradient(family_learner(name, order="first")), _slopes(name, "")) > 1e-3


@pytest.mark.parametrize("name", ["maml++", "maml++, inductive", "anil", "adam", "clipped"])
def test_ranks_give_the_same(name):
    learner = family_learner(name)
    found, _ = differentiate(learner, CASE.tasks(), 2, OUTER_STEP)
    expected = learner.differentiate(CASE.tasks(), OUTER_STEP)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["maml++", "anil", "one row"])
def test_compiled(name):
    gradient = _gradient(family_learner(name, compile=True))
    assert deviation(gradient, _exact(name, "auto")) < 1e-10


@pytest.mark.parametrize("name", FAMILY)
def test_judging_is_the_same_on_every_path(name):
    expected = family_learner(name, execution="loop").evaluate(CASE.tasks(), STEPS)
    found = family_learner(name, execution="vectorised").evaluate(CASE.tasks(), STEPS)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("path", PATHS)
def test_adam_has_a_finite_second_derivative_at_zero(path):
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3)).double()
    with torch.no_grad():
        model[0].bias[0] = -100.0
    tasks = next(case for case in CASES if case.name == "linear").tasks()
    tasks = type(tasks)(
        tasks.support_x[..., :2], tasks.support_y, tasks.query_x[..., :2], tasks.query_y
    )
    learner = MAML(model, 0.01, 2, inner_optimizer="adam", loss=F.cross_entropy, **PATHS[path])
    assert all(g.isfinite().all() for g in learner.meta_gradient(tasks)[1].values())
