"""`fewstep compare RUN` of a table: every rival on the same tasks, and the pooled network kept."""

import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

import fewstep
from fewstep.cli import main
from fewstep.evaluation.numbers import shown
from tests.cli.shared import refused
from tests.tables import lines

BRIEF = [
    *("--steps", "4", "--val-every", "2", "--val-tasks", "4", "--test-tasks", "8"),
    *("--meta-batch", "2", "--k-shot", "2"),
]
NETWORKS = ["pooled network", "fine-tuned"]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    lines(24).to_csv(folder / "sites.csv", index=False)
    frame = lines(24)
    frame["level"] = np.where(frame["level"] > 100, "high", "low")
    frame.to_csv(folder / "kinds.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, algorithm in (("sites", "maml"), ("kinds", "maml"), ("plain", "finetune")):
            words = ["train", "kinds.csv" if name == "kinds" else "sites.csv", "--task", "site"]
            words += ["--target", "level", "--algorithm", algorithm, "--run-dir", name]
            with redirect_stderr(StringIO()) as told, redirect_stdout(StringIO()):
                assert main([*words, *BRIEF]) == 0
            (folder / f"{name}.txt").write_text(told.getvalue())
    return folder


@pytest.fixture(autouse=True)
def short(monkeypatch, here):
    """Fine-tuning is chosen from less than it is for people."""
    monkeypatch.chdir(here)
    monkeypatch.setattr("fewstep.evaluation.rivals.tuned.STEP_SIZES", (0.1,))
    monkeypatch.setattr("fewstep.evaluation.rivals.tuned.STEPS", (1, 3))


def shown_on_screen(written):
    """The text that a terminal shows at the end: lines may have been erased."""
    screen, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", written):
        if part == "\n":
            row += 1
            screen += [""] * (row == len(screen))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            screen[row] = ""
        elif part[0] not in "\x1b\r":
            screen[row] += part
    return "\n".join(screen)


def compared(capsys, *words):
    capsys.readouterr()
    assert main(["compare", *words, "--tasks", "10", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("painted")
def test_all_models_by_the_rows_of_the_task(here, capsys):
    told = compared(capsys, "sites", "plain", "--picture", "new/picture.png")
    assert (told["score"], told["target"]) == ("rmse", "level")
    # No task has 21 rows.
    assert [*told["rows"]] == ["1", "2", "5", "10"]
    # A run of ordinary training beside another one is a model of its own.
    expected = ["sites", "plain", *NETWORKS, "mixed effects", "ridge", "task's mean"]
    for found in told["rows"].values():
        assert [*found["models"]] == expected
        assert found["best"] in expected
        assert found["models"][found["best"]]["behind_best"] == 0
    # Lines of 20 a unit around a common one; the mean cannot follow them.
    last = told["rows"]["10"]["models"]
    assert last["mixed effects"]["mean"] < 5 < 10 < last["task's mean"]["mean"]
    assert (here / "new" / "picture.png").stat().st_size > 10_000
    # The pooled network is trained once, and kept.
    best = here / "sites" / "rivals" / "pooled" / "best.safetensors"
    before = best.stat().st_mtime_ns
    assert compared(capsys, "sites", "plain") == told
    assert best.stat().st_mtime_ns == before


def test_classes(here, capsys):
    told = compared(capsys, "kinds")
    models = told["rows"]["10"]["models"]
    assert told["score"] == "accuracy"
    assert [*models] == ["kinds", *NETWORKS, "logistic", "majority"]
    assert models["logistic"]["mean"] > models["majority"]["mean"]


def test_lines_for_people(here, capsys):
    assert main(["compare", "plain", "sites", "--tasks", "10"]) == 0
    out = capsys.readouterr().out
    assert "10 rows: " in out
    assert " is best, " in out
    # Not the name alone, which reads as that of a table.
    assert "sites (maml)  " in out
    assert "picture: comparison.png" in out
    assert not (here / "plain" / "rivals").exists()
    assert json.loads((here / "plain" / "comparison.json").read_text())["run"] == "pooled network"
    assert "to use mixed effects: a few lines of Python, in docs/tables.md" in out


def test_no_bar_is_left_of_a_network_that_was_trained(here, capsys, monkeypatch):
    terminal = Console(force_terminal=True, width=100, file=StringIO())
    monkeypatch.setattr("fewstep.cli.compare.error_console", lambda: terminal)
    for _ in range(2):
        assert main(["compare", "sites", "--tasks", "10"]) == 0
    screen = shown_on_screen(terminal.file.getvalue())
    assert "pooled network: " in screen
    assert "training" not in screen


def test_what_was_found_is_kept_until_the_run_goes_on(here, capsys):
    told = compared(capsys, "sites", "plain")
    for name in ("sites", "plain"):
        kept = json.loads((here / name / "comparison.json").read_text())
        assert kept == {"run": name, **told}
    shutil.copytree(here / "sites", here / "more")
    words = ["train", "sites.csv", "--task", "site", "--target", "level", "--algorithm", "maml"]
    assert main([*words, "--run-dir", "more", *BRIEF, "--steps", "6"]) == 0
    assert not (here / "more" / "comparison.json").exists()


def test_adapt_tells_what_was_found(here, capsys):
    """Of the nearest number of rows below; the pointer alone where there is none."""
    told = compared(capsys, "sites", "plain")["rows"]["5"]
    lines(1, 7, seed=3).to_csv("own.csv", index=False)
    words = ["adapt", "sites", "--support", "own.csv"]
    assert main(words) == 0
    out = capsys.readouterr().out
    ours, best = told["models"]["sites"]["mean"], told["models"]["mixed effects"]["mean"]
    assert told["best"] == "mixed effects"
    expected = (
        f"fewstep compare sites found with 5 rows of test tasks: mixed effects is best, rmse "
        f"{shown('rmse', best)}; this run {shown('rmse', ours)}"
    )
    assert expected in out
    (here / "sites" / "comparison.json").write_text("{}")
    assert main(words) == 0
    assert "fewstep compare sites measures it beside more rivals" in capsys.readouterr().out


def test_a_run_of_the_name_of_a_rival(here, capsys):
    (here / "sites").rename(here / "ridge")
    try:
        assert "ridge is the name of a run and of a rival" in refused(["compare", "ridge"], capsys)
    finally:
        (here / "ridge").rename(here / "sites")


def test_the_interval_of_the_run_is_kept_and_told(here, capsys):
    told = json.loads((here / "sites" / "interval.json").read_text())
    assert [*told["half_widths"]] == ["1", "2", "5", "10"]
    assert all(0.5 < share <= 1 for share in told["coverage"].values())
    text = (here / "sites.txt").read_text()
    assert "interval: with 2 rows of a task, 95% of level in validation tasks is within ± " in text
    assert not (here / "kinds" / "interval.json").exists()
    loaded = fewstep.load("sites").learner
    assert loaded.half_widths == {int(k): v for k, v in told["half_widths"].items()}
    words = ["train", "sites.csv", "--task", "site", "--target", "level", "--algorithm", "maml"]
    assert main([*words, "--run-dir", "sites", *BRIEF]) == 0
    again = capsys.readouterr().err
    assert next(line for line in text.splitlines() if line.startswith("interval")) in again


def test_a_run_that_goes_on_has_another_interval(here, monkeypatch):
    """An interval of the initialisation before is gone when the new one is tested."""
    shutil.copytree(here / "sites", here / "longer")
    monkeypatch.setattr("fewstep.cli.results.measured_interval", lambda _: None)
    words = ["train", "sites.csv", "--task", "site", "--target", "level", "--algorithm", "maml"]
    assert main([*words, "--run-dir", "longer", *BRIEF, "--steps", "6"]) == 0
    assert not (here / "longer" / "interval.json").exists()


def test_what_was_found_is_kept_before_it_is_printed(here, monkeypatch):
    """As in fewstep compare RUN | head -2."""

    def closed(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("fewstep.cli.compare_tables.as_lines", closed)
    (here / "sites" / "comparison.json").unlink(missing_ok=True)
    with suppress(BrokenPipeError, SystemExit):
        main(["compare", "sites", "--tasks", "10"])
    assert (here / "sites" / "comparison.json").exists()
