"""An adapted model predicts numbers, in the unit of its targets."""

import numpy as np
import pytest
import torch

import fewstep
from fewstep import InputError
from fewstep.predictors.adapt import adapt_regressor
from tests.predictors.shared import of_numbers

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
