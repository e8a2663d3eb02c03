"""`fewstep adapt` for tables: a task of one's own from a few rows, and what is told of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fewstep
from fewstep.cli import main
from tests.cli.shared import refused
from tests.own_rows import rows_of_task

NEW = rows_of_task("new", 26)


@pytest.fixture(scope="module")
def run(table_runs):
    return str(table_runs / "score")


def written(folder, rows, name="rows.csv"):
    rows.to_csv(folder / name, index=False)
    return str(folder / name)


def adapt_json(arguments, capsys):
    capsys.readouterr()
    assert main(["adapt", *map(str, arguments), "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out, parse_constant=pytest.fail), err


def test_json_holds_predictions_and_rivals(run, new_school, capsys):
    support, query = new_school / "support.csv", new_school / "query.csv"
    told, err = adapt_json([run, "--support", support, "--query", query], capsys)
    assert err == ""
    assert [one["row"] for one in told["predictions"]] == list(range(20))
    truth = [one["target"] for one in told["predictions"]]
    assert truth == pytest.approx(NEW.score[6:].tolist(), abs=1e-3)
    found = np.array([one["prediction"] for one in told["predictions"]])
    rmse = np.sqrt(np.mean((found - truth) ** 2))
    assert told["rmse"] == pytest.approx(rmse, rel=1e-4)
    mean = np.sqrt(np.mean((NEW.score[:6].mean() - truth) ** 2))
    assert told["rivals"]["support_mean"] == pytest.approx(mean, rel=1e-4)
    assert told["rivals"]["no_adaptation"] != told["rmse"]
    first = told["predictions"][0]
    # Of the nearest number of support rows below: 5 of 6.
    assert first["interval"] == pytest.approx([found[0] - 12.5, found[0] + 12.5], abs=1e-3)
    inside = int((np.abs(found - truth) <= 12.5).sum())
    assert (told["covered"], told["half_width"]) == (inside, 12.5)
    assert (told["task"], told["shots"], told["steps"]) == ("new", [6], 5)


def test_text_tells_rows_rivals_and_protocol(run, new_school, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    given = ["adapt", run, "--support", str(new_school / "support.csv")]
    assert main([*given, "--query", str(new_school / "query.csv")]) == 0
    out = capsys.readouterr().out
    assert "learned score from 6 rows of school new, by hours, colour" in out
    assert "row  score" in out
    assert "95% interval" in out
    assert "of 20 rows with a target, " in out
    assert "the mean of the support rows" in out
    assert f"fewstep compare {run}" in out
    assert "of these three, " in out
    told = (
        "a 95% interval (held 85% on test tasks) is ± 12.5, as measured on validation tasks with "
    )
    assert f"{told}5 rows, the nearest" in out
    assert f"6 support rows; 5 inner steps; one model, {run}, maml, seed 0" in out


@pytest.mark.parametrize(("split", "of"), [("train", "training"), ("val", "validation")])
def test_a_task_that_the_run_was_trained_on_is_told(run, tmp_path, capsys, split, of):
    known = json.loads((Path(run) / "split.json").read_text())[split][0]
    support = written(tmp_path, rows_of_task(known))
    told, err = adapt_json([run, "--support", support], capsys)
    assert f"{known} was a {of} task of this run: these figures are too good" in err
    assert any(known in note for note in told["notes"])


@pytest.mark.parametrize("target", ["score", "passed"])
def test_rows_that_are_taught_again_are_told(adapted_school, new_school, capsys, target):
    support = new_school / "support.csv"
    told, err = adapt_json([adapted_school / target, "--add", "--support", support], capsys)
    assert "6 rows were taught before; each weighs as often as it is given" in err
    assert told["shots"] == [12] if target == "score" else sum(told["shots"]) == 12
    query = new_school / "query.csv"
    assert (
        "taught before"
        not in adapt_json([adapted_school / target, "--add", "--support", query], capsys)[1]
    )


def test_rows_without_a_target_are_predicted(run, new_school, tmp_path, capsys):
    support = new_school / "support.csv"
    told, _ = adapt_json([run, "--support", support, "--query", new_school / "blind.csv"], capsys)
    both, _ = adapt_json([run, "--support", support, "--query", new_school / "query.csv"], capsys)
    for one, other in zip(told["predictions"], both["predictions"], strict=True):
        assert one == {name: value for name, value in other.items() if name != "target"}
    assert told["rmse"] is None
    assert told["leave_one_out"] > 0
    some = NEW[6:].assign(score=NEW.score.where(NEW.index % 2 == 0))
    told, _ = adapt_json([run, "--support", support, "--query", written(tmp_path, some)], capsys)
    assert (told["examples"], len(told["predictions"])) == (10, 20)


def test_without_query_each_row_is_left_out(run, table_runs, new_school, tmp_path, capsys):
    support = new_school / "support.csv"
    told, _ = adapt_json([run, "--support", support], capsys)
    assert told["rmse"] is None
    assert told["examples"] == 6
    errors = []
    for row in range(6):
        others = written(tmp_path, NEW[:6].drop(index=row))
        one = written(tmp_path, NEW[row : row + 1], "one.csv")
        found, _ = adapt_json([run, "--support", others, "--query", one], capsys)
        errors.append(found["rmse"])
    assert told["leave_one_out"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-3)
    same, _ = adapt_json([run, "--support", support, "--query", support], capsys)
    assert told["rivals"]["no_adaptation"] == same["rivals"]["no_adaptation"]
    mean = np.sqrt(np.mean(np.square(NEW.score[:6] - NEW.score[:6].mean()))) * 6 / 5
    assert told["rivals"]["support_mean"] == pytest.approx(mean, rel=1e-4)
    assert main(["adapt", str(table_runs / "passed"), "--support", str(support)]) == 0
    assert "of 6 support rows, each left out in turn" in capsys.readouterr().out
    one, _ = adapt_json([run, "--support", written(tmp_path, NEW[:1])], capsys)
    assert one["leave_one_out"] is one["rivals"] is None


def test_the_saved_model_predicts_the_same(adapted_school, run, new_school, capsys):
    query = new_school / "query.csv"
    told, _ = adapt_json([run, "--support", new_school / "support.csv", "--query", query], capsys)
    model = fewstep.load(adapted_school / "score")
    expected = [one["prediction"] for one in told["predictions"]]
    assert model.predict(NEW[6:]) == pytest.approx(expected, abs=1e-3)
    assert model.predict(query) == pytest.approx(expected, abs=1e-3)
    assert model.predict_interval(query)[0] == pytest.approx(
        told["predictions"][0]["interval"], abs=1e-3
    )
    with Image.open(adapted_school / "score" / "adapted.png") as picture:
        assert picture.width > picture.height > 200


def test_classes_are_those_of_the_table(table_runs, new_school, tmp_path, capsys):
    run = table_runs / "passed"
    query = new_school / "query.csv"
    told, _ = adapt_json([run, "--support", new_school / "support.csv", "--query", query], capsys)
    right = [one["label"] == one["class"] for one in told["predictions"]]
    assert told["accuracy"] == pytest.approx(np.mean(right))
    assert set(told["rivals"]) == {"no_adaptation", "support_majority"}
    # Also of a class that no support row has.
    one = written(tmp_path, NEW[NEW.passed == NEW.passed[0]][:1])
    told, _ = adapt_json([run, "--support", one, "--query", query], capsys)
    assert all(0.5 <= one["probability"] <= 1 for one in told["predictions"])


def test_more_rows_for_an_adapted_model(adapted_school, run, new_school, tmp_path, capsys):
    more = written(tmp_path, NEW[6:14], "more.csv")
    out = shutil.copytree(adapted_school / "score", tmp_path / "model")
    told, _ = adapt_json([out, "--add", "--support", more, "--out", out], capsys)
    assert (told["shots"], told["half_width"]) == ([14], 9.0)
    whole = written(tmp_path, NEW[:14], "whole.csv")
    blind = new_school / "blind.csv"
    told, _ = adapt_json([run, "--support", whole, "--query", blind], capsys)
    expected = [one["prediction"] for one in told["predictions"]]
    assert fewstep.load(out).predict(blind) == pytest.approx(expected, abs=1e-3)


def test_what_is_told_of_odd_rows(run, new_school, tmp_path, capsys):
    cases = {
        "left out: row 3, 6 of": NEW[:6].assign(score=NEW.score.where(NEW.index % 3 != 1)),
        "has 2 rows twice": pd.concat([NEW[:6], NEW[:2]]),
        "'violet' is no category of the training rows": NEW[:6].assign(colour="violet"),
        "column 'hours', row 2: 1": NEW[:6].assign(hours=NEW.hours + 60),
        "column 'score', row 5: 9448 is": NEW[:6].assign(
            score=NEW.score * (1 + 99 * (NEW.index == 3))
        ),
    }
    for expected, rows in cases.items():
        told, err = adapt_json([run, "--support", written(tmp_path, rows)], capsys)
        assert expected in err
        assert len(told["notes"]) == 1
    support = new_school / "support.csv"
    query = written(tmp_path, NEW[6:].assign(score=100 * NEW.score))
    _, err = adapt_json([run, "--support", support, "--query", query], capsys)
    assert "column 'score', row 2: " in err
    assert "(and in 19 more rows); is it in another unit?" in err
    _, err = adapt_json([run, "--support", support, "--query", support], capsys)
    assert "6 query rows are support rows, too" in err


def test_few_rows_and_other_steps_have_no_interval(run, new_school, tmp_path, capsys):
    one = written(tmp_path, NEW[:1])
    told, _ = adapt_json([run, "--support", one, "--query", new_school / "blind.csv"], capsys)
    assert (
        told["note"] == "no interval: it was measured for 5 and more support rows, and there are 1"
    )
    assert "interval" not in told["predictions"][0]
    given = [run, "--support", new_school / "support.csv", "--steps", "2"]
    told, _ = adapt_json(given, capsys)
    assert told["note"] == "no interval: it was measured after 5 inner steps, not 2"


def bad_rows(folder):
    """Support files that cannot be learned from, and what is told of each."""
    yield folder / "missing.csv", "cannot be read"
    (folder / "folder").mkdir()
    yield folder / "folder", "is a folder; the model takes rows of a table"
    (folder / "empty.csv").touch()
    yield folder / "empty.csv", "is empty"
    cases = {
        "has no columns 'hours' (did you mean 'Hours'?), 'colour'": NEW.rename(
            columns={"hours": "Hours", "colour": "tint"}
        ),
        "has no column 'score'": NEW[["hours", "colour"]],
        "no rows": NEW[:0],
        "column 'hours', row 3: 'many' is no number": NEW.astype(object).replace(
            {NEW.hours[1]: "many"}
        ),
        "column 'score', row 3: 'good' is no number": NEW.astype(object).replace(
            {NEW.score[1]: "good"}
        ),
        "inf": NEW.assign(hours=np.inf),
        "no row of ": NEW.assign(score=None),
        "has rows of 2 tasks by its column 'school': new, old": pd.concat(
            [NEW, NEW.assign(school="old")]
        ),
        "loss is not finite": NEW.assign(hours=1e9 * NEW.hours),
        "of the rows: column 'hours'": NEW.assign(hours=1e9 * NEW.hours),
    }
    for number, (told, rows) in enumerate(cases.items()):
        yield written(folder, rows, f"{number}.csv"), told


def test_support_files_of_no_use(run, tmp_path, capsys):
    out = tmp_path / "out"
    for path, expected in bad_rows(tmp_path):
        told = refused(["adapt", run, "--support", str(path), "--out", str(out)], capsys)
        assert expected in told
        assert not out.exists()


def test_query_files_of_no_use(run, new_school, tmp_path, capsys):
    given = ["adapt", run, "--support", str(new_school / "support.csv"), "--query"]
    other = written(tmp_path, NEW.assign(school="old"), "other.csv")
    told = refused([*given, other], capsys)
    assert "the support rows are of school new and the query rows of old" in told
    assert "no rows" in refused([*given, written(tmp_path, NEW[:0])], capsys)


def test_classes_are_no_numbers(table_runs, tmp_path, capsys):
    rows = written(tmp_path, NEW.assign(passed=1.5))
    told = refused(["adapt", str(table_runs / "passed"), "--support", rows], capsys)
    assert "'1.5' is no class of the training rows, which are no, yes" in told


def test_each_run_takes_its_own_kind(run, glyph_runs, own, new_school, adapted_school, capsys):
    told = refused(["adapt", run, "--support", str(own / "support")], capsys)
    assert "is a folder; the model takes rows of a table" in told
    file = str(new_school / "support.csv")
    told = refused(["adapt", str(glyph_runs / "maml"), "--support", file], capsys)
    assert "is a file; expected a folder" in told
    told = refused(["adapt", str(new_school / "no_run"), "--support", file], capsys)
    assert "expected a run directory" in told
    assert "--add" in refused(["adapt", str(adapted_school / "score"), "--support", file], capsys)
    assert "leave --add out" in refused(["adapt", run, "--add", "--support", file], capsys)


def test_runs_of_numbers_and_of_classes_are_not_compared(run, table_runs, capsys):
    told = refused(["compare", run, str(table_runs / "passed")], capsys)
    assert "passed predicts classes and score numbers; expected runs that are" in told
