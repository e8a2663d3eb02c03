"""Errors of rivals, and the choice between them."""

import numpy as np
import pytest

from fewstep.evaluation.rivals.rows import Episode, best_of, error_rate, mean_error, rmse

NOTHING = np.zeros((2, 1))
EPISODES = [Episode(NOTHING, np.zeros(2), NOTHING, np.array([1.0, 1.0]))]


def constant(value):
    return lambda x, y, query: np.full(len(query), value)


def test_errors():
    assert rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(2**0.5)
    assert error_rate(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 3])) == 0.25


def test_the_draws_of_a_task_count_as_one_by_their_squares():
    drawn = [Episode(NOTHING, np.zeros(2), NOTHING, np.array([y, y]), "a") for y in (1.0, 7.0)]
    other = Episode(NOTHING, np.zeros(2), NOTHING, np.array([2.0, 2.0]), "b")
    assert mean_error(constant(0.0), [*drawn, other], rmse) == pytest.approx((5 + 2) / 2)


def test_what_is_not_finite_is_never_the_best():
    assert mean_error(constant(np.nan), EPISODES, rmse) == np.inf
    rivals = {number: constant(number) for number in (np.nan, 3.0, 1.5, 0.5)}
    assert best_of(rivals, EPISODES, rmse)[0] == 1.5
