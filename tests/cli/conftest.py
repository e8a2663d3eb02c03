"""Runs that the tests of all commands share."""

import json
import shutil

import pytest
from matplotlib.figure import Figure
from PIL import Image

from fewstep.cli import main
from tests import tiny_recipe
from tests.cli.own_pictures import write_classes
from tests.cli.shared import SHORT, SMALL, TINY
from tests.own_rows import rows_of_task, rows_of_tasks


@pytest.fixture(autouse=True)
def _unpainted(request, monkeypatch):
    """Figures are made and not painted, which takes longer than all else of a short run.

    They are painted in ``tests/report``, in the runs that tests share, and where a test asks.
    """
    if "painted" not in request.fixturenames:
        monkeypatch.setattr(Figure, "savefig", _save_blank)


@pytest.fixture
def painted():
    """Let Matplotlib paint."""


def _save_blank(_, out, *, dpi, format):
    Image.new("L", (dpi, dpi)).save(out, format)


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sinusoid"
    assert main([*SMALL, "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Runs of the same recipe by other settings."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        given = ["--seed", str(seed), "--run-dir", str(folder / str(seed))]
        assert main([*SHORT, *given]) == 0
    return folder


@pytest.fixture
def run(runs, tmp_path):
    """A run to spoil."""
    return shutil.copytree(runs / "0", tmp_path / "run")


@pytest.fixture(scope="session")
def glyph_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glyph_runs")
    for algorithm in ("maml", "fomaml", "finetune"):
        given = ["train", "glyphs-5way-1shot", "--algorithm", algorithm, *TINY]
        assert main([*given, "--run-dir", str(folder / algorithm)]) == 0
    return folder


@pytest.fixture(scope="session")
def budget_run(tmp_path_factory):
    """A run of a recipe with budgets; of the recipe itself nothing is left."""
    path = tmp_path_factory.mktemp("budget") / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny_recipe.add(patch)
        tiny_recipe.draw_nothing(patch)
        assert main(["train", tiny_recipe.NAME, "--run-dir", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """Drawings of three kinds: two each to learn from, others to predict."""
    folder = tmp_path_factory.mktemp("own")
    write_classes(folder / "support", 2)
    write_classes(folder / "query", 2, first=10)
    return folder


@pytest.fixture(scope="session")
def adapted(glyph_runs, own, tmp_path_factory):
    """A run that was adapted to the drawings, and saved."""
    folder = tmp_path_factory.mktemp("adapted") / "drawings"
    given = ["adapt", str(glyph_runs / "maml"), "--support", str(own / "support")]
    assert main([*given, "--query", str(own / "query"), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def table_runs(tmp_path_factory):
    """Runs of one table: of its scores, with an interval, and of who passed."""
    folder = tmp_path_factory.mktemp("table_runs")
    rows_of_tasks().to_csv(folder / "exams.csv", index=False)
    few = ["--steps", "4", "--val-every", "4", "--val-tasks", "2", "--test-tasks", "3"]
    for target in ("score", "passed"):
        given = ["train", str(folder / "exams.csv"), "--task", "school", "--target", target, *few]
        given += ["--inputs", "hours,colour", "--k-shot", "5", "--meta-batch", "2"]
        given += ["--algorithm", "maml", "--inner-steps", "5", "--inner-lr", "0.1"]
        assert main([*given, "--width", "8", "--run-dir", str(folder / target)]) == 0
    told = {"level": 0.95, "half_widths": {"5": 12.5, "10": 9.0}}
    told["coverage"] = {"5": 0.846, "10": 0.9}
    (folder / "score" / "interval.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="session")
def new_school(tmp_path_factory):
    """Rows of a school that no run has seen: to learn from, to be judged on, without targets."""
    folder = tmp_path_factory.mktemp("new_school")
    rows = rows_of_task("new", 26)
    rows[:6].to_csv(folder / "support.csv", index=False)
    rows[6:].to_csv(folder / "query.csv", index=False)
    rows[6:][["colour", "hours"]].to_csv(folder / "blind.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def adapted_school(table_runs, new_school, tmp_path_factory):
    """Models of the scores and of who passed, adapted to the school and saved."""
    folder = tmp_path_factory.mktemp("adapted_school")
    for target in ("score", "passed"):
        given = ["adapt", str(table_runs / target), "--support", str(new_school / "support.csv")]
        assert main([*given, "--out", str(folder / target)]) == 0
    return folder
