"""A target is a number or classes, and what is neither is told in one line."""

import numpy as np
import pandas as pd
import pytest

from fewstep import InputError
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.columns.target import target_classes


def prepared(values, kind=None):
    frame = pd.DataFrame(
        {"x": np.arange(len(values)), "y": values}, index=range(2, len(values) + 2)
    )
    return TablePreparation.fit(frame, "y", ["x"], kind), frame


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["pass", "fail", "pass"], ("fail", "pass")),
        ([True, False, True], (False, True)),
        (["True", "False", "True"], ("False", "True")),
        (["yes", "no", "no"], ("no", "yes")),
        ([0, 1, 1], (0, 1)),
        ([0.0, 1.0, 1.0], (0, 1)),
        (pd.Categorical([3, 1, 2, 1]), (1, 2, 3)),
    ],
)
def test_classes(values, classes):
    how, frame = prepared(values)
    assert how.kind == "classification"
    assert how.classes == classes
    assert [type(label) for label in how.classes] == [type(label) for label in classes]
    labels = [how.classes[number] for number in how.targets(frame)]
    assert labels == list(values)
    assert how.targets(frame).dtype == np.int64
    again = TablePreparation.from_json(how.as_json())
    assert again.targets(frame).tolist() == how.targets(frame).tolist()


def test_labels_stay_what_they_are_where_some_are_missing():
    for values, classes in (([True, None, False], (False, True)), (["1", "2"], ("1", "2"))):
        assert target_classes(pd.DataFrame({"y": pd.Series(values, dtype=object)}), "y") == classes


def test_numbers():
    how, frame = prepared([1, 2, 6])
    assert how.kind == "regression"
    assert how.targets(frame).shape == (3, 1)
    assert how.targets(frame).dtype == np.float32
    np.testing.assert_allclose(how.unscaled(how.targets(frame))[:, 0], [1, 2, 6], rtol=1e-6)


@pytest.mark.parametrize("values", [[0, 1, 1], [True, False, False], ["no", "yes", "yes"]])
def test_a_regression_is_forced(values):
    how, frame = prepared(values, "regression")
    assert how.kind == "regression"
    assert how.unscaled(how.targets(frame)).max() == pytest.approx(1)


def test_classes_of_numbers_are_forced():
    how, frame = prepared([5, 3, 5, 4], "classification")
    assert how.classes == (3, 4, 5)
    assert how.targets(frame).tolist() == [2, 0, 2, 1]


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([3.0, 3.0, 3.0], None, ["'y'", "3 in all 3"]),
        (["a", "a"], None, ["'y'", "'a'"]),
        ([None, None], None, ["'y'", "missing"]),
        ([f"text {i}" for i in range(60)], None, ["60 different"]),
        (["2024-01-31", "2024-02-01"], None, ["date"]),
        (["a", "b"], "regression", ["row 2", "'a'"]),
        ([*map(str, np.arange(30) / 2), "n/k"], None, ["row 32", "'n/k'"]),
        ([1.0, 2.0, np.inf], None, ["row 4", "inf"]),
        ([1e308, -1e308, 1], None, ["too large"]),
    ],
)
def test_unsuitable_targets_are_told_in_one_line(values, kind, words):
    with pytest.raises(InputError) as caught:
        prepared(values, kind)
    told = str(caught.value)
    assert "\n" not in told
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    ("values", "other", "words"),
    [
        ([1, 2, 3], [1, None], ["row 3", "missing"]),
        (["a", "b"], ["a", None], ["row 3", "missing"]),
        (["a", "b"], ["a", "c"], ["row 3", "'c'", "a, b"]),
        ([0, 1], [0, 7], ["row 3", "'7'", "0, 1"]),
        ([1, 2, 3], ["1", "x"], ["row 3", "'x'"]),
        (["a", "b"], ["a", "long\ntext" * 999], ["row 3", "'long\\ntext", "..."]),
    ],
)
def test_targets_of_other_rows_are_checked(values, other, words):
    how = prepared(values)[0]
    with pytest.raises(InputError) as caught:
        how.targets(pd.DataFrame({"y": other}, index=[2, 3]))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("values", [[1e-300, 2e-300, 3e-300], [1e8, 1e8 + 1e-8, 1e8 + 3e-8]])
def test_numbers_that_cannot_be_standardised(values):
    """Their deviation is lost in rounding; targets of 0 would be learned, with an error of 0."""
    with pytest.raises(InputError, match=r"target 'y' differs by .* another unit"):
        prepared(values)


def test_complex_numbers_are_none():
    with pytest.raises(InputError, match="complex"):
        prepared([1 + 1j, 2, 3j])


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_a_target_that_float32_does_not_hold(value):
    how = prepared([1.0, 2.0, 3.0])[0]
    with pytest.raises(InputError, match=r"target 'y', row 3: -?1e\+300 is too large; correct it"):
        how.targets(pd.DataFrame({"y": [1.0, value]}, index=[2, 3]))
