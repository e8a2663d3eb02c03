"""A user's own file of rows of one task."""

import json

import pandas as pd
import pytest

from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.own_rows import check_one_task, given_twice, read_query, read_support
from fewstep.data.tables.rows_of import frame_of
from fewstep.data.tables.table import Table
from fewstep.errors import InputError
from tests.own_rows import INPUTS, rows_of_task, rows_of_tasks

HOW = TablePreparation.fit(rows_of_tasks(), "score", INPUTS)
ROWS = rows_of_task("new", 6)


def read(folder, rows, task="school", reader=read_query):
    rows.to_csv(folder / "rows.csv", index=False)
    return reader(folder / "rows.csv", HOW, task)


def test_the_task_need_not_be_told(tmp_path):
    assert read(tmp_path, ROWS).task == "new"
    assert read(tmp_path, ROWS.drop(columns="school")).task is None
    assert read(tmp_path, ROWS.assign(school=None)).task is None
    assert read(tmp_path, ROWS.assign(school=3)).task == "3"
    assert read(tmp_path, rows_of_tasks(2), None).task is None
    some = ROWS.assign(school=["new", None, "new", None, None, None])
    assert read(tmp_path, some).task == "new"


def test_several_tasks_are_named(tmp_path):
    told = r"rows of 7 tasks by its column 'school': s00, s01, s02, s03, s04 and 2 more; give"
    with pytest.raises(InputError, match=told):
        read(tmp_path, rows_of_tasks(7))
    one, other = read(tmp_path, ROWS), read(tmp_path, ROWS.assign(school="old"))
    check_one_task(one, one, "school")
    check_one_task(one, read(tmp_path, ROWS[INPUTS]), "school")
    with pytest.raises(InputError, match="are of school new and the query rows of old"):
        check_one_task(one, other, "school")


def test_a_number_is_the_same_task_beside_missing_ones(tmp_path):
    """A column of whole numbers with an empty cell is read as fractions, 3 as 3.0."""
    whole = read(tmp_path, ROWS.assign(school=3))
    some = read(tmp_path, ROWS.assign(school=[3, None, 3, 3, 3, 3]))
    check_one_task(whole, some, "school")
    assert some.task == whole.task == "3"


def test_which_targets_are_known(tmp_path):
    assert read(tmp_path, ROWS).known.all()
    assert read(tmp_path, ROWS[INPUTS]).known is None
    assert read(tmp_path, ROWS.assign(score=None)).known is None
    some = read(tmp_path, ROWS.assign(score=ROWS.score.where(ROWS.index > 3)))
    assert some.known.tolist() == [False] * 4 + [True] * 2


def test_support_rows_without_a_target_are_left_out(tmp_path):
    some = ROWS.assign(score=ROWS.score.where(ROWS.index != 2))
    found = read(tmp_path, some, reader=read_support)
    # As a person counts in the file, whose header is row 1.
    assert found.frame.index.tolist() == [2, 3, 5, 6, 7]
    assert found.notes == (f"left out: row 4 of {tmp_path / 'rows.csv'}, without score",)
    with pytest.raises(InputError, match=r"no row of .* has a score"):
        read(tmp_path, ROWS.assign(score=None), reader=read_support)
    with pytest.raises(InputError, match="has no column 'score'"):
        read(tmp_path, ROWS[INPUTS], reader=read_support)


def test_rows_that_are_given_twice(tmp_path):
    twice = pd.concat([ROWS, ROWS[:1]])
    assert "has 1 row twice" in read(tmp_path, twice, reader=read_support).notes[0]
    support = read(tmp_path, ROWS[:3], reader=read_support)
    assert given_twice(support, read(tmp_path, ROWS[3:]), HOW) == ""
    assert given_twice(support, read(tmp_path, ROWS[INPUTS]), HOW) == ""
    assert given_twice(support, read(tmp_path, ROWS[2:]), HOW).startswith("a query row is a ")
    assert given_twice(support, read(tmp_path, ROWS), HOW).startswith("3 query rows are ")


def test_a_missing_value_is_the_same_value(tmp_path):
    some = ROWS.assign(hours=ROWS.hours.where(ROWS.index != 1), colour=None)
    support = read(tmp_path, some[:3], reader=read_support)
    assert given_twice(support, read(tmp_path, some), HOW).startswith("3 query rows are ")


def test_bytes_are_a_file_as_well(tmp_path):
    found = read_query(b"hours;colour\n50;red\n", HOW, "school")
    assert found.frame.shape == (1, 2)
    with pytest.raises(InputError, match="standard input has no column 'colour'"):
        read_query(b"hours,tone\n50,red\n", HOW, None)
    with pytest.raises(InputError, match="is a folder"):
        read_query(tmp_path, HOW, None)


def test_a_few_rows_have_the_decimal_mark_of_the_table():
    """Of which they alone do not tell: 1,136 is 1.136 where the others have decimal commas."""
    cells = ["0,342", "1,136", "4,405", "2,5", "3,75", "0,1"]
    table = Table(
        pd.DataFrame({"s": list("aabbcc"), "x": cells, "y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}),
        task="s",
        target="y",
    )
    how = TablePreparation.from_json(json.loads(json.dumps(table.preparation.as_json())))
    assert how == table.preparation
    (row,) = frame_of({"x": ["1,136"]}, how)["x"]
    assert row == pytest.approx(1.136)


def test_times_of_few_rows_are_read_as_those_of_the_table():
    times = [f"{n},000" for n in range(1, 13)]
    frame = pd.DataFrame({"s": ["a"] * 6 + ["b"] * 6, "t": times, "x": range(12), "y": range(12)})
    table = Table(frame, task="s", target="y", inputs=["x"], time="t", window=2)
    found = frame_of(frame[["t", "x"]].iloc[:3], table.preparation)["t"]
    assert found.tolist() == [1000.0, 2000.0, 3000.0]


def test_a_bad_target_of_a_row_that_is_left_out():
    frame = pd.DataFrame({"s": ["a", "a", "b", "b", None], "x": range(5), "y": [*"1234", "bad"]})
    table = Table(frame, task="s", target="y", inputs=["x"])
    assert len(table.frame) == 4
