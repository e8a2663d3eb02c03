"""The mixed-effects model: statsmodels and lme4's textbook cases agree with it."""

import numpy as np
import pytest

from fewstep.evaluation.rivals.mixed import fit_mixed
from fewstep.evaluation.rivals.rows import Rows


def rows(tasks=40, features=2, own=(1.0, 0.6, 0.3), noise=0.5, seed=0):
    """Tasks of 3 to 12 rows, whose intercept and slopes are normal around common ones."""
    random = np.random.default_rng(seed)
    task = np.repeat(np.arange(tasks), random.integers(3, 13, tasks))
    x = random.normal(size=(len(task), features))
    weights = np.array([2.0, 1.0, -1.0]) + np.array(own) * random.normal(size=(tasks, 3))
    y = (np.column_stack([np.ones(len(x)), x[:, :2]]) * weights[task]).sum(1)
    return Rows(x, y + noise * random.normal(size=len(y)), task)


def mixed_lm(given):
    from statsmodels.regression.mixed_linear_model import MixedLM

    z = np.column_stack([np.ones(len(given.x)), given.x])
    return MixedLM(given.y, z, groups=given.task, exog_re=z).fit(reml=True)


@pytest.fixture(scope="module")
def fitted():
    given = rows()
    return given, fit_mixed(given, 2), mixed_lm(given)


def test_the_fit_is_that_of_statsmodels(fitted):
    _, model, expected = fitted
    np.testing.assert_allclose(model.beta, expected.fe_params, atol=1e-3)
    np.testing.assert_allclose(model.covariance, expected.cov_re, atol=2e-3)
    assert model.noise == pytest.approx(expected.scale, rel=1e-3)


def test_no_larger_likelihood_is_found_by_statsmodels(fitted):
    from statsmodels.regression.mixed_linear_model import MixedLMParams

    _, model, expected = fitted
    ours = MixedLMParams.from_components(
        fe_params=model.beta, cov_re=model.covariance / model.noise
    )
    assert expected.model.loglike(ours) > expected.llf - 1e-4


def test_effects_of_a_task_are_those_of_statsmodels(fitted):
    given, model, expected = fitted
    for task in (0, 7, 39):
        own = given.task == task
        np.testing.assert_allclose(
            model.effects(given.x[own], given.y[own]), expected.random_effects[task], atol=2e-3
        )


def test_a_new_task_is_answered_as_bayes_rule_does():
    """One row, an intercept alone: the mean moves by D / (D + s2) of the residual."""
    given = rows(own=(1.0, 0.0, 0.0))
    model = fit_mixed(Rows(given.x[:, :0], given.y - given.x @ [1.0, -1.0], given.task), 0)
    share = model.covariance[0, 0] / (model.covariance[0, 0] + model.noise)
    nothing = np.zeros((1, 0))
    found = model.predict(nothing, np.array([5.0]), nothing)
    assert found == pytest.approx(model.beta[0] + share * (5.0 - model.beta[0]))


def test_tasks_that_are_all_alike_have_no_effects():
    model = fit_mixed(rows(200, own=(0.0, 0.0, 0.0)), 2)
    assert np.abs(model.covariance).max() < 0.01
    assert model.noise == pytest.approx(0.25, abs=0.02)


def test_a_feature_of_the_task_has_no_slope_of_its_own():
    given = rows()
    of_task = np.random.default_rng(1).normal(size=40)[given.task]
    model = fit_mixed(given._replace(x=np.column_stack([of_task, given.x])), 3)
    assert model.slopes.tolist() == [1, 2]


def test_categories_have_common_effects_alone():
    given = rows()
    kind = np.random.default_rng(1).integers(3, size=len(given.y))
    y = given.y + np.array([0.0, 5.0, -5.0])[kind]
    # A column for each, which add up to the intercept, and one of a category never seen.
    columns = np.column_stack([np.eye(3)[kind], np.zeros(len(y))])
    both = np.column_stack([given.x, columns])
    model = fit_mixed(Rows(both, y, given.task), 2)
    assert model.slopes.tolist() == [0, 1]
    assert model.beta[4] - model.beta[5] == pytest.approx(10, abs=0.2)
    support = both[given.task == 0], y[given.task == 0]
    assert np.isfinite(model.predict(*support, both[:3])).all()


def test_many_slopes_are_independent():
    random = np.random.default_rng(0)
    task = np.repeat(np.arange(60), 15)
    x = random.normal(size=(900, 9))
    y = (x * (1 + 0.5 * random.normal(size=(60, 9)))[task]).sum(1) + 0.3 * random.normal(size=900)
    model = fit_mixed(Rows(x, y, task), 9)
    assert np.allclose(model.covariance, np.diag(np.diag(model.covariance)))
    assert np.diag(model.covariance)[1:] == pytest.approx(np.full(9, 0.25), abs=0.12)


def test_tasks_without_noise():
    given = rows(noise=0.0)
    model = fit_mixed(given, 2)
    own = given.task == 3
    found = model.predict(given.x[own], given.y[own], given.x[own])
    np.testing.assert_allclose(found, given.y[own], atol=1e-2)
