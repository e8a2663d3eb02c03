"""Ridge regression of the support rows: scikit-learn agrees with it."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from fewstep.evaluation.rivals.ridge import PENALTIES, best_ridge, ridge
from fewstep.evaluation.rivals.rows import Episode


@pytest.mark.parametrize("rows", [1, 3, 30])
def test_it_is_that_of_scikit_learn(rows):
    random = np.random.default_rng(rows)
    x, y, query = (
        random.normal(size=(rows, 5)),
        random.normal(size=rows),
        random.normal(size=(7, 5)),
    )
    expected = Ridge(alpha=0.3).fit(x, y).predict(query)
    np.testing.assert_allclose(ridge(0.3, x, y, query), expected, atol=1e-8)


def episodes(noise, number=20):
    random = np.random.default_rng(0)
    for _ in range(number):
        x, weights = random.normal(size=(16, 4)), random.normal(size=4)
        y = x @ weights + noise * random.normal(size=16)
        yield Episode(x[:6], y[:6], x[6:], y[6:])


def test_the_penalty_grows_with_the_noise():
    small, large = (best_ridge(list(episodes(noise)))[0] for noise in (0.01, 3.0))
    assert small == PENALTIES[0] < 1 < large
