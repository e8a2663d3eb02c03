"""A run stops early where validation finds nothing better, at the same step in any case."""

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from fewstep import InputError
from fewstep.cli.progress import ProgressBar
from fewstep.config.recipes import find_recipe
from fewstep.learners.base import Evaluation
from fewstep.training.interrupt import Interrupt, Interrupted
from fewstep.training.loop import OuterLoop
from fewstep.training.run_dir import RunDir

from .shared import last, lines, run, train

CONFIG = replace(
    find_recipe("sinusoid").config,
    steps=20,
    val_every=2,
    checkpoint_every=5,
    meta_batch=2,
    averaging=0.5,
    patience=2,
)
ERRORS = {2: 5.0, 4: 3.0, 6: 3.5, 8: 2.0, 10: 2.5, 12: 2.0, 14: 1.0}
"""By outer step: the error falls until step 8, and two validations later patience is spent."""


@pytest.fixture(autouse=True)
def _errors(monkeypatch):
    """Validation says what the table says."""
    validate = OuterLoop._validate

    def validate_by_table(self, tasks):
        error = ERRORS.get(self.state.progress.step, 9.0)
        judged = Evaluation(torch.tensor([[error]]), {"mse": torch.tensor([[error]])})
        monkeypatch.setattr("fewstep.training.loop.evaluate_tasks", lambda *_: judged)
        validate(self, tasks)

    monkeypatch.setattr(OuterLoop, "_validate", validate_by_table)


def told(config, path):
    """What a run says."""
    console = Console(file=io.StringIO(), width=200)
    train(config, path, None, console)
    return console.file.getvalue()


def test_it_stops_and_says_so(tmp_path):
    expected = "stopped early after step 12: validation was best after step 8"
    assert expected in told(CONFIG, tmp_path / "run")
    progress = last(tmp_path / "run")[1]
    assert (progress.step, progress.best_step, progress.best_score) == (12, 8, 2.0)


def test_the_same_command_again_does_not_go_on(tmp_path):
    run(CONFIG, tmp_path / "run")
    before = RunDir(tmp_path / "run").last.read_bytes()
    assert "stopped early after step 12" in told(CONFIG, tmp_path / "run")
    assert RunDir(tmp_path / "run").last.read_bytes() == before


@pytest.mark.parametrize("stop", [3, 9, 11, 12])
def test_an_interrupted_run_stops_where_an_undisturbed_one_does(tmp_path, monkeypatch, stop):
    run(CONFIG, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        interrupts = []
        patch.setattr(Interrupt, "__enter__", lambda self: interrupts.append(self) or self)

        def step(self, done, *_):
            interrupts[-1].requested = done == stop

        patch.setattr(ProgressBar, "step", step)
        with pytest.raises(Interrupted):
            run(CONFIG, tmp_path / "run")
    assert last(tmp_path / "run")[1].step == stop
    run(CONFIG, tmp_path / "run")
    (one, progress), (other, undisturbed) = last(tmp_path / "run"), last(tmp_path / "undisturbed")
    assert replace(progress, seconds=0) == replace(undisturbed, seconds=0)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_more_patience_goes_on(tmp_path):
    run(CONFIG, tmp_path / "run")
    run(replace(CONFIG, patience=0), tmp_path / "run")
    assert last(tmp_path / "run")[1].step == 20
    assert last(tmp_path / "run")[1].best_step == 14
    steps = [line["step"] for line in lines(tmp_path / "run") if "train/loss" in line]
    assert steps == list(range(1, 21))


def test_patience_out_of_range():
    with pytest.raises(InputError, match="patience is -1; expected 0 or more"):
        replace(CONFIG, patience=-1)
