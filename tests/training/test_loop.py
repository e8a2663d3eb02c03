"""The outer loop learns, validates, keeps the best, and stops early or at what is not finite."""

import io
import json
import os
import signal
from dataclasses import asdict, replace

import pytest
import torch
from rich.console import Console

from fewstep import InputError
from fewstep.cli.progress import ProgressBar
from fewstep.config.recipes import find_recipe
from fewstep.evaluation.evaluate import evaluate_tasks
from fewstep.files import rounded
from fewstep.learners.base import Evaluation
from fewstep.training import checkpoint
from fewstep.training.interrupt import Interrupt, Interrupted
from fewstep.training.loop import OuterLoop
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_run
from tests.training.shared import SINUSOID, last, lines, run, train


def test_the_loss_falls_and_the_best_validation_is_kept(tmp_path):
    trained = run(replace(SINUSOID, steps=200, outer_lr=0.005), tmp_path / "run")
    told = lines(tmp_path / "run")
    losses = [line["train/loss"] for line in told if "train/loss" in line]
    assert len(losses) == 200
    assert sum(losses[-50:]) < 0.9 * sum(losses[:50])
    scores = {line["step"]: line["val/score"] for line in told if "val/score" in line}
    assert rounded(trained.progress.best_score) == min(scores.values())
    assert scores[trained.progress.best_step] == min(scores.values())
    kept, _ = checkpoint.load(RunDir(tmp_path / "run").best)
    again = dict(load_run(tmp_path / "run", None, "cpu").learner.named_parameters())
    assert all(torch.equal(again[name], value) for name, value in kept.items())


def test_averaging_keeps_an_average_of_the_learned_weights(tmp_path):
    run(replace(SINUSOID, ema_decay=0.5), tmp_path / "average")
    run(replace(SINUSOID, ema_decay=0.0), tmp_path / "last")
    averaged, _ = last(tmp_path / "average")
    plain, _ = last(tmp_path / "last")
    for name, value in checkpoint.without_prefix("learned", plain).items():
        assert torch.equal(averaged[f"learned.{name}"], value)
        assert not torch.equal(averaged[f"average.{name}"], value)
        assert (averaged[f"average.{name}"] - value).norm() < 0.1 * value.norm() + 0.05


def test_a_validation_that_is_not_finite_stops_too(tmp_path):
    wild = replace(SINUSOID, inner_lr=3.0, outer_lr=1e-9, val_every=1)
    with pytest.raises(
        InputError, match=r"not finite in validation task \d+ after \d+ inner steps?"
    ):
        run(wild, tmp_path / "run")
    assert not RunDir(tmp_path / "run").best.exists()


def test_ctrl_c_during_a_validation_is_saved_before_it_stops(tmp_path, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluate_tasks(*arguments)

    monkeypatch.setattr("fewstep.training.loop.evaluate_tasks", interrupted)
    with pytest.raises(Interrupted):
        run(replace(SINUSOID, checkpoint_every=1000), tmp_path / "run")
    _, progress = last(tmp_path / "run")
    assert progress.step == SINUSOID.val_every


def test_metrics_are_json_even_where_there_is_no_number(tmp_path):
    run(replace(SINUSOID, val_tasks=1), tmp_path)
    for line in RunDir(tmp_path).metrics.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_damaged_metrics(tmp_path):
    run(replace(SINUSOID, steps=5), tmp_path)
    RunDir(tmp_path).metrics.write_text("damaged\n")
    with pytest.raises(InputError, match=r"metrics.jsonl has a line that is no metrics"):
        run(replace(SINUSOID, steps=10), tmp_path)


@pytest.mark.parametrize("setting", ["inner_lr", "outer_lr"])
def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path, setting):
    run(replace(SINUSOID, steps=10), tmp_path / "run")
    files = RunDir(tmp_path / "run")
    for path in (files.best, files.last):
        # As of an earlier version, which did not keep what a checkpoint was trained by.
        values, progress = checkpoint.load(path)
        checkpoint.save(path, values, replace(progress, settings=""))
    good = files.last.read_bytes()
    wild = replace(SINUSOID, steps=100, **{setting: 1e30})
    RunDir(tmp_path / "run").config.write_text(json.dumps(asdict(wild)))
    with pytest.raises(InputError, match="the checkpoint of outer step 10 is kept"):
        run(wild, tmp_path / "run")
    assert RunDir(tmp_path / "run").last.read_bytes() == good


def test_a_loss_that_is_not_finite_before_any_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"outer step 1; there is no checkpoint yet: try"):
        run(replace(SINUSOID, inner_lr=1e30), tmp_path)


def test_a_signal_in_the_last_outer_step_is_heeded(tmp_path, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate_tasks(*arguments)

    monkeypatch.setattr("fewstep.training.loop.evaluate_tasks", interrupted)
    last_one = replace(SINUSOID, steps=3)
    with pytest.raises(Interrupted, match="stopped after outer step 3"):
        run(last_one, tmp_path)
    monkeypatch.undo()
    assert run(last_one, tmp_path).progress.step == 3


PATIENT = replace(
    find_recipe("sinusoid").config,
    steps=20,
    val_every=2,
    checkpoint_every=5,
    meta_batch=2,
    ema_decay=0.5,
    patience=2,
)


ERRORS = {2: 5.0, 4: 3.0, 6: 3.5, 8: 2.0, 10: 2.5, 12: 2.0, 14: 1.0}
"""By outer step: the error falls until step 8, and two validations later patience is spent."""


@pytest.fixture
def errors(monkeypatch):
    """Validation says what the table says."""
    validate = OuterLoop._validate

    def validate_by_table(self, tasks):
        error = ERRORS.get(self.state.progress.step, 9.0)
        judged = Evaluation(torch.tensor([[error]]), {"mse": torch.tensor([[error]])})
        monkeypatch.setattr("fewstep.training.loop.evaluate_tasks", lambda *_: judged)
        validate(self, tasks)

    monkeypatch.setattr(OuterLoop, "_validate", validate_by_table)


def told(config, path):
    """The output of a run."""
    console = Console(file=io.StringIO(), width=200)
    train(config, path, console)
    return console.file.getvalue()


@pytest.mark.usefixtures("errors")
def test_it_stops_and_says_so(tmp_path):
    expected = "stopped early after step 12: validation was best after step 8"
    assert expected in told(PATIENT, tmp_path / "run")
    progress = last(tmp_path / "run")[1]
    assert (progress.step, progress.best_step, progress.best_score) == (12, 8, 2.0)


@pytest.mark.usefixtures("errors")
def test_the_same_command_again_does_not_go_on(tmp_path):
    run(PATIENT, tmp_path / "run")
    before = RunDir(tmp_path / "run").last.read_bytes()
    assert "stopped early after step 12" in told(PATIENT, tmp_path / "run")
    assert RunDir(tmp_path / "run").last.read_bytes() == before


@pytest.mark.usefixtures("errors")
@pytest.mark.parametrize("stop", [3, 9, 11, 12])
def test_an_interrupted_run_stops_where_an_undisturbed_one_does(tmp_path, monkeypatch, stop):
    run(PATIENT, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        interrupts = []
        patch.setattr(Interrupt, "__enter__", lambda self: interrupts.append(self) or self)

        def step(self, done, *_):
            interrupts[-1].requested = done == stop

        patch.setattr(ProgressBar, "step", step)
        with pytest.raises(Interrupted):
            run(PATIENT, tmp_path / "run")
    assert last(tmp_path / "run")[1].step == stop
    run(PATIENT, tmp_path / "run")
    (one, progress), (other, undisturbed) = last(tmp_path / "run"), last(tmp_path / "undisturbed")
    assert replace(progress, seconds=0) == replace(undisturbed, seconds=0)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.usefixtures("errors")
def test_more_patience_goes_on(tmp_path):
    run(PATIENT, tmp_path / "run")
    run(replace(PATIENT, patience=0), tmp_path / "run")
    assert last(tmp_path / "run")[1].step == 20
    assert last(tmp_path / "run")[1].best_step == 14
    steps = [line["step"] for line in lines(tmp_path / "run") if "train/loss" in line]
    assert steps == list(range(1, 21))
