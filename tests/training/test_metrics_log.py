"""Metrics are whole lines, and a place that takes no more of them is told at once."""

import errno
import io
import json
import os
import resource
import shutil
from dataclasses import replace
from functools import partial

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fewstep import InputError
from fewstep.cli.progress import ProgressBar
from fewstep.config.recipes import find_recipe
from fewstep.training import checkpoint
from fewstep.training.metrics_log import Appended, read_metrics
from fewstep.training.run_dir import RunDir
from tests.processes import finish, no_pictures
from tests.training.shared import lines, run, same, train

NO_FILE = os.strerror(errno.ENOENT)
CONFIG = replace(
    find_recipe("sinusoid").config,
    steps=8,
    val_every=4,
    val_tasks=2,
    checkpoint_every=4,
    meta_batch=2,
)


def test_tensorboard_shows_the_same_figures(tmp_path):
    run(CONFIG, tmp_path)
    # As after a kill: steps beyond the checkpoint are forgotten and done again.
    run(replace(CONFIG, steps=12), tmp_path)
    board = EventAccumulator(str(RunDir(tmp_path).tensorboard)).Reload()
    for name in ("train/loss", "train/gradient_norm", "val/score"):
        told = {line["step"]: line[name] for line in lines(tmp_path) if name in line}
        shown = {event.step: event.value for event in board.Scalars(name)}
        assert shown == pytest.approx(told, rel=5e-6)  # JSON has six digits


def limited(size):
    """Let no file grow beyond a size, as a full disk does."""
    no_pictures()
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


COMMAND = [
    *("train", "sinusoid", "--steps", "40", "--val-every", "10", "--val-tasks", "2"),
    *("--test-tasks", "2", "--meta-batch", "2", "--checkpoint-every", "15"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    status, said = finish([*COMMAND, "--run-dir", folder / "run"], folder / "out", no_pictures)
    assert status == 0, said
    return folder / "run"


@pytest.mark.parametrize("size", [600, 1200, 2500, 4000, 12000])
def test_a_disk_that_fills_up(size, undisturbed, tmp_path):
    files = RunDir(tmp_path / "run")
    command = [*COMMAND, "--run-dir", files.path]
    status, said = finish(command, tmp_path / "out", partial(limited, size))
    assert status == 2, said
    assert said.splitlines()[-1].startswith("fewstep: error: cannot write ")
    assert said.count("error") == 1
    assert os.strerror(errno.EFBIG) in said
    assert not list(files.path.rglob("*.part"))
    if files.metrics.exists():
        for line in files.metrics.read_text().splitlines(keepends=True):
            assert line.endswith("\n")
            json.loads(line)
    for path in (files.last, files.best):
        assert not path.exists() or checkpoint.load(path)
    status, said = finish(command, tmp_path / "out", no_pictures)
    assert status == 0, said
    assert same(undisturbed, files.path)


@pytest.mark.parametrize("gone", [".", "tensorboard", "metrics.jsonl"])
def test_a_place_that_goes_away(gone, tmp_path, monkeypatch):
    step = ProgressBar.step

    def removed(self, done, *figures):
        step(self, done, *figures)
        path = tmp_path / "run" / gone
        if done == 2:
            path.unlink() if path.is_file() else shutil.rmtree(path)

    monkeypatch.setattr(ProgressBar, "step", removed)
    with pytest.raises(InputError, match=rf"cannot write .* \({NO_FILE}\); choose"):
        run(CONFIG, tmp_path / "run")
    assert (tmp_path / "run").exists() == (gone != ".")
    assert not RunDir(tmp_path / "run").best.exists()


def test_metrics_that_another_program_replaced(tmp_path, monkeypatch):
    step, path = ProgressBar.step, RunDir(tmp_path).metrics

    def replaced(self, done, *figures):
        step(self, done, *figures)
        path.unlink()
        path.write_text("")

    monkeypatch.setattr(ProgressBar, "step", replaced)
    with pytest.raises(InputError, match="another file stands there now"):
        run(CONFIG, tmp_path)


@pytest.mark.parametrize("kept", [0, 5, None])
def test_metrics_shorter_than_the_checkpoint(kept, tmp_path):
    run(CONFIG, tmp_path)
    path = RunDir(tmp_path).metrics
    whole = path.read_text().splitlines(keepends=True)
    told = sum("train/loss" in line for line in whole[: kept or 0])
    path.unlink()
    if kept is not None:
        path.write_text("".join(whole[:kept]))
    console = Console(file=io.StringIO())
    train(replace(CONFIG, steps=9), tmp_path, console)
    expected = f"metrics.jsonl lacks {8 - told} of the 8 outer steps done; the weights are whole"
    assert expected in console.file.getvalue()


def test_nothing_is_said_of_metrics_that_are_whole(tmp_path):
    run(CONFIG, tmp_path)
    console = Console(file=io.StringIO())
    train(replace(CONFIG, steps=9), tmp_path, console)
    assert "lacks" not in console.file.getvalue()


def test_metrics_that_are_no_text(tmp_path):
    run(CONFIG, tmp_path)
    RunDir(tmp_path).metrics.write_bytes(b"\xff\n")
    with pytest.raises(InputError, match="has a line that is no metrics"):
        run(replace(CONFIG, steps=9), tmp_path)


@pytest.mark.parametrize("text", [None, '{"step": 1}\n{"step": 2, "tra'])
def test_what_is_read_of_metrics(tmp_path, text):
    path = RunDir(tmp_path).metrics
    if text:
        path.write_text(text)
    assert read_metrics(path, 2) == ([{"step": 1}] if text else [])


@pytest.mark.parametrize("text", ["damaged\n", '["step"]\n', '{"step": 1}\nx\n{"step": 2}\n'])
def test_metrics_that_are_damaged_are_not_none(tmp_path, text):
    RunDir(tmp_path).metrics.write_text(text)
    with pytest.raises(InputError, match="has a line that is no metrics"):
        read_metrics(RunDir(tmp_path).metrics, 2)


def test_metrics_that_may_not_be_read(tmp_path):
    RunDir(tmp_path).metrics.mkdir()
    with pytest.raises(InputError, match=r"^cannot read .*metrics\.jsonl \(.*; see that it"):
        read_metrics(RunDir(tmp_path).metrics, 2)


def test_a_full_disk(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    file = Appended(tmp_path / "metrics.jsonl")
    file.write(b"line\n")
    with pytest.raises(InputError, match=r"no disk space left for .*metrics\.jsonl; free some"):
        file.flush()
    file.close()
