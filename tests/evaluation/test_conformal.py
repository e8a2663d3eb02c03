"""Intervals of predictions: wide enough for new rows, and for new tasks of the same kind."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fewstep import MAML
from fewstep.data import Table
from fewstep.evaluation.conformal import half_width, intervals
from tests.tables import lines


@pytest.mark.parametrize("rows", [19, 40, 400])
def test_a_new_residual_is_inside_as_often_as_it_should(rows):
    random = np.random.default_rng(0)
    inside = [
        (known := np.abs(random.normal(size=rows + 1)))[-1] <= half_width(known[:-1])
        for _ in range(2000)
    ]
    assert np.mean(inside) == pytest.approx(math.ceil(0.95 * (rows + 1)) / (rows + 1), abs=0.015)


def test_too_few_residuals_tell_nothing():
    assert half_width(np.ones(18)) == math.inf
    assert half_width(np.ones(19)) == 1


@pytest.fixture(scope="module")
def found():
    parts = Table(lines(45), task="site", target="level").split(15, 15, 15, seed=0)
    _, validation, test = (part.tasks(k_shot=5, q_query=9) for part in parts)
    torch.manual_seed(0)
    learner = MAML(nn.Linear(1, 1), 0.3, 5, loss="mse")
    return intervals(learner, 5, validation, test, 30, rows=(1, 5, 13, 14, 50))


def test_numbers_of_rows_that_tasks_have(found):
    assert [one.rows for one in found] == [1, 5, 13]


def test_the_interval_narrows_and_holds_on_test_tasks(found):
    widths = [one.half_width for one in found]
    assert widths[0] > 2 * widths[1]
    assert [one.coverage.mean for one in found] == pytest.approx([0.95] * 3, abs=0.08)
    assert {one.tasks for one in found} == {15}
    # In the unit of the target: noise of 2 around lines.
    assert 3 < widths[1] < 30
