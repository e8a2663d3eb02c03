"""An adapted model predicts numbers, in the unit of its targets."""

import numpy as np
import pytest
import torch

import fewstep
from fewstep import InputError
from fewstep.predictors.adapt import adapt_regressor
from tests.predictors.shared import of_numbers
from tests.predictors.shared_rows import NEW, PASSED, QUERY, SCORES, SUPPORT, of_table

X = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def test_one_output_is_a_number_an_example():
    learner = fewstep.MAML(torch.nn.Linear(2, 1), inner_lr=0.3, loss="mse")
    adapted = adapt_regressor(learner, X, [100.0, 200.0, 300.0], steps=200)
    assert adapted.predict(X).shape == (3,)
    assert np.allclose(adapted.predict(X), [100, 200, 300], atol=1)
    column = adapt_regressor(learner, X, [[100.0], [200.0], [300.0]], steps=200)
    assert np.array_equal(column.predict(X), adapted.predict(X))


def test_several_outputs():
    adapted = adapt_regressor(of_numbers(outputs=2), X, np.ones((3, 2)))
    assert adapted.predict(X).shape == (3, 2)
    assert adapted.about["outputs"] == 2


def test_a_network_that_drops_the_last_dimension():
    class Flat(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x)[:, 0]

    learner = fewstep.MAML(Flat(2, 1), inner_lr=0.1, inner_steps=3, loss="mse")
    for y in ([1, 2, 3], [[1], [2], [3]]):
        assert adapt_regressor(learner, X, y).predict(X).shape == (3,)


@pytest.mark.parametrize(
    ("y", "told"),
    [
        ([1, 2], r"3 examples and targets of \[2\]"),
        ([1, 2, float("nan")], "a target is NaN"),
        (["a", "b", "c"], "the targets are no numbers"),
    ],
)
def test_targets_that_do_not_fit(y, told):
    with pytest.raises(InputError, match=told):
        adapt_regressor(of_numbers(), X, y)


def test_predictions_are_in_the_unit_of_the_table():
    learner = of_table()
    adapted = adapt_regressor(learner, SUPPORT, SUPPORT.score)
    x, y = (torch.from_numpy(SCORES.features(SUPPORT)), torch.from_numpy(SCORES.targets(SUPPORT)))
    with torch.no_grad():
        outputs = learner.adapt(x, y)(torch.from_numpy(SCORES.features(QUERY))).double()
    expected = outputs[:, 0].numpy() * SCORES.target_scale + SCORES.target_mean
    assert np.allclose(adapted.predict(QUERY), expected, atol=1e-3)
    assert abs(adapted.predict(QUERY).mean() - QUERY.score.mean()) < 10
    one = adapt_regressor(learner, SUPPORT[:1], SUPPORT.score[:1])
    assert one.predict(QUERY).shape == (20,)


def test_the_interval_is_that_of_as_many_support_rows():
    adapted = adapt_regressor(of_table(), SUPPORT, SUPPORT.score)
    found = adapted.predict_interval(QUERY)
    assert adapted.half_width == 4.0
    assert np.allclose(found[:, 0] + 4, adapted.predict(QUERY))
    assert np.allclose(found[:, 1] - found[:, 0], 8)
    assert adapt_regressor(of_table(), NEW[:12], NEW.score[:12]).half_width == 3.0
    few = adapt_regressor(of_table(), NEW[:4], NEW.score[:4])
    with pytest.raises(InputError, match="measured for 5 and more support rows, and there are 4"):
        few.predict_interval(QUERY)
    with pytest.raises(InputError, match="the interval of a prediction is not known"):
        adapt_regressor(of_numbers(), X, [1, 2, 3]).predict_interval(X)


@pytest.mark.parametrize(
    ("how", "y", "told"),
    [
        (SCORES, [1.0] * 5, r"there are 6 rows and targets of \[5\]"),
        (SCORES, [1.0, np.nan, 1.0, 1.0, 1.0, 1.0], "the target of row 1 is missing; leave"),
        (SCORES, ["many"] * 6, "'score', row 0: 'many' is no number"),
        (PASSED, [1.0] * 6, "the learner is of a classification"),
    ],
)
def test_targets_of_a_table_that_do_not_fit(how, y, told):
    with pytest.raises(InputError, match=told):
        adapt_regressor(of_table(how), SUPPORT, y)
