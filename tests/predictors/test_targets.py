"""Labels become the places of their classes, sorted."""

import numpy as np
import pandas as pd
import pytest
import torch

from fewstep import InputError
from fewstep.predictors.targets import numbered


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
