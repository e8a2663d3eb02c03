"""The error of a model of a table beside simple rivals."""

import numpy as np
import pytest

from fewstep.predictors.table_verdict import verdict_of


def test_errors_are_in_the_unit_of_the_target():
    taught, truth = np.array([1.0, 3.0]), np.array([2.0, 6.0, 4.0])
    found = verdict_of(taught, truth, truth + np.array([3, 0, 0]), truth - 1, half_width=1.0)
    assert found.score == "rmse"
    assert found.values == pytest.approx(
        {"adapted": np.sqrt(3), "no_adaptation": 1, "support_mean": np.sqrt(20 / 3)}
    )
    assert (found.rows, found.covered, found.best_rival) == (3, 2, "no_adaptation")


def test_labels_are_right_or_wrong():
    taught, truth = (np.array(list(labels), object) for labels in ("aab", "abba"))
    found = verdict_of(taught, truth, truth, np.array(list("bbbb"), object))
    assert found.values == {"adapted": 1, "no_adaptation": 0.5, "support_majority": 0.5}
    assert found.covered is None


def test_few_rows_settle_large_differences_alone():
    random = np.random.default_rng(0)
    truth = random.normal(size=20)
    near = truth + random.normal(0, 0.1, 20)
    assert verdict_of(truth, truth, near, truth + 5).is_settled
    assert not verdict_of(truth[:1], truth[:1], near[:1], truth[:1] + 5).is_settled
    assert not verdict_of(truth, truth, near, near + random.normal(0, 0.01, 20)).is_settled
