"""Labels become the places of their classes, sorted."""

import numpy as np
import pandas as pd
import pytest
import torch

import fewstep
from fewstep import InputError
from fewstep.data.columns.preparation import TablePreparation
from fewstep.predictors.adapt import adapt_regressor
from fewstep.predictors.further import with_more
from fewstep.predictors.targets import numbered
from tests.own_rows import INPUTS, rows_of_tasks
from tests.predictors.shared_rows import SUPPORT, of_table


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["owl", "crow", "owl"], ("crow", "owl")),
        (np.array(["owl", "crow", "owl"]), ("crow", "owl")),
        (pd.Series(["owl", "crow", "owl"]), ("crow", "owl")),
        ([10, 9, 10], (9, 10)),
        (np.array([10, 9, 10]), (9, 10)),
        (torch.tensor([10, 9, 10]), (9, 10)),
        ([10.0, 9.0, 10.0], (9, 10)),
        ([True, False, True], (0, 1)),
        (["10", "9", "10"], ("10", "9")),
    ],
)
def test_labels_of_any_kind(labels, classes):
    found, numbers = numbered(labels, 3)
    assert found == classes
    assert [type(label) for label in found] == [type(label) for label in classes]
    plain = [str(label) for label in np.asarray(labels).astype(object)]
    if isinstance(classes[0], str):
        assert [found[number] for number in numbers] == plain
    assert numbers[0] == numbers[2] != numbers[1]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["owl", "owl", "owl"], "all 3 labels are 'owl', one class"),
        (["owl", "crow"], "there are 3 examples and 2 labels"),
        (["owl", 1, 2], "labels are strings and numbers"),
        ([0.5, 1.5, 2.5], "a label is 0.5; expected a string or a whole number"),
        ([None, "owl", "crow"], "a label is None"),
        ([float("nan"), 1, 2], "a label is nan"),
    ],
)
def test_labels_that_are_none(labels, told):
    with pytest.raises(InputError, match=told):
        numbered(labels, 3)


def test_support_targets_in_another_unit_are_warned():
    """Of every kind of targets, by the name of their row, and of further ones alone."""
    far = 100 * SUPPORT.score
    told = "column 'score', row 0: .* standard deviations from the mean .*; is it in another unit"
    for y in (far, far.to_numpy(), far.tolist()):
        with pytest.warns(UserWarning, match=told) as caught:
            fewstep.FewShotRegressor(of_table()).fit(SUPPORT, y)
        assert [one.filename for one in caught] == [__file__]
    with pytest.warns(UserWarning, match="column 'score', row 5"):
        adapt_regressor(of_table(), SUPPORT[5:], far[5:])
    adapted = adapt_regressor(of_table(), SUPPORT, SUPPORT.score)
    with pytest.warns(UserWarning, match="column 'score', row 0"):
        with_more(adapted, SUPPORT, far, learner=of_table())
    with pytest.warns(UserWarning) as caught:
        mixed = adapt_regressor(of_table(), SUPPORT, far)
        with_more(mixed, SUPPORT, SUPPORT.score, learner=of_table())
    assert len(caught) == 1


def test_targets_like_those_of_training_are_not_warned():
    """Also constant ones, and those far from the mean that a training row has."""
    adapt_regressor(of_table(), SUPPORT, [100.0] * len(SUPPORT))
    rows = rows_of_tasks(40)
    rows.loc[0, "score"] = 1e4
    how = TablePreparation.fit(rows, "score", INPUTS)
    assert abs(9e3 - how.target_mean) > 10 * how.target_scale
    adapt_regressor(of_table(how), SUPPORT, [9e3] * len(SUPPORT))
    # A run of an earlier version does not know the range.
    told = {k: v for k, v in how.as_json().items() if k not in ("target_low", "target_high")}
    with pytest.warns(UserWarning, match="another unit"):
        adapt_regressor(of_table(TablePreparation.from_json(told)), SUPPORT, [9e3] * len(SUPPORT))
