"""A run of ``r2d2``, which solves in closed form: no inner step is told of, taken or asked for."""

import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest

from fewstep.cli import main
from tests.cli.shared import refused
from tests.own_rows import rows_of_tasks

RIDGE = ["--task", "school", "--target", "score", "--inputs", "hours", "--k-shot", "5"]


@pytest.fixture(scope="module")
def ridge(tmp_path_factory):
    """The run, and what was told while it trained."""
    folder = tmp_path_factory.mktemp("ridge")
    rows_of_tasks().to_csv(folder / "exams.csv", index=False)
    given = [*RIDGE, "--steps", "4", "--val-every", "2", "--val-tasks", "2", "--test-tasks", "3"]
    given += ["--meta-batch", "2", "--width", "8", "--run-dir", str(folder / "run")]
    with redirect_stderr(StringIO()) as told, redirect_stdout(StringIO()):
        assert main(["train", str(folder / "exams.csv"), *given]) == 0
    return folder, told.getvalue()


def test_a_training_tells_of_no_inner_steps(ridge):
    _, told = ridge
    assert re.search(r"^step +4  training rmse [\d.]+  validation rmse [^a-z]+$", told, re.M)
    assert "1 feature of 1 input\n" in told
    assert re.search(r"^kept after outer step [24]: validation rmse [\d.]+$", told, re.M)
    assert "inner step" not in told


def test_settings_without_effect_are_refused(ridge, capsys):
    folder, _ = ridge
    other = ["--run-dir", str(folder / "other"), "--test-inner-steps", "5"]
    line = refused(["train", str(folder / "exams.csv"), *RIDGE, *other], capsys)
    assert "test_inner_steps is 5 with algorithm r2d2, which has no such setting" in line
    line = refused(["evaluate", str(folder / "run"), "--inner-steps", "5"], capsys)
    assert "r2d2 solves in closed form, where more steps change nothing" in line


def test_steps_of_an_adaptation_change_nothing(ridge, new_school, tmp_path, capsys):
    run, out = shutil.copytree(ridge[0] / "run", tmp_path / "run"), tmp_path / "model"
    (run / "interval.json").write_text(json.dumps({"half_widths": {"5": 12.5}}))
    given = ["adapt", str(run), "--support", str(new_school / "support.csv")]
    assert main([*given, "--steps", "7", "--out", str(out), "--json"]) == 0
    told, errors = capsys.readouterr()
    found = json.loads(told)
    assert (found["half_width"], found["steps"], found["note"]) == (12.5, 1, "")
    assert "--steps 7 changes nothing: r2d2 solves in closed form" in errors
    protocol = json.loads((out / "adapted.json").read_text())["protocol"]
    assert protocol["inner_lr"] is None
    assert "solved in closed form" in (out / "README.md").read_text()
    assert main(given) == 0
    assert "6 support rows; solved in closed form; one model" in capsys.readouterr().out
    more = ["--support", str(new_school / "query.csv"), "--add", "--steps", "3", "--json"]
    assert main(["adapt", str(out), *more]) == 0
    assert json.loads(capsys.readouterr().out)["half_width"] == 12.5


def test_a_finished_training_tells_what_is_kept(ridge, capsys):
    folder, _ = ridge
    given = [*RIDGE, "--steps", "4", "--val-every", "2", "--val-tasks", "2", "--test-tasks", "3"]
    given += ["--meta-batch", "2", "--width", "8", "--run-dir", str(folder / "run")]
    assert main(["train", str(folder / "exams.csv"), *given]) == 0
    told = capsys.readouterr().err
    assert re.search(r"^finished after 4 outer steps; rmse [\d.]+; more:", told, re.M)
    assert re.search(r"^kept after outer step [24]: validation rmse [\d.]+$", told, re.M)
