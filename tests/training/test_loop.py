"""The outer loop learns, validates, keeps the best, and stops at a loss that is not finite."""

import json
import math
import os
import signal
from dataclasses import replace

import pytest
import torch

from fewstep import InputError
from fewstep.config.file import config_json
from fewstep.config.recipes import find_recipe
from fewstep.config.schema import Config
from fewstep.evaluation.evaluate import evaluate_tasks
from fewstep.files import rounded, write_whole
from fewstep.training import checkpoint
from fewstep.training.interrupt import Interrupted
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_run

from .shared import last, lines, run

CONFIG = replace(
    find_recipe("sinusoid").config,
    steps=40,
    val_every=10,
    val_tasks=10,
    checkpoint_every=5,
    meta_batch=5,
)


def test_the_loss_falls_and_the_best_validation_is_kept(tmp_path):
    trained = run(replace(CONFIG, steps=200, outer_lr=0.005), tmp_path / "run")
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
    run(replace(CONFIG, averaging=0.5), tmp_path / "average")
    run(replace(CONFIG, averaging=0.0), tmp_path / "last")
    averaged, _ = last(tmp_path / "average")
    plain, _ = last(tmp_path / "last")
    for name, value in checkpoint.without_prefix("learned", plain).items():
        assert torch.equal(averaged[f"learned.{name}"], value)
        assert not torch.equal(averaged[f"average.{name}"], value)
        assert (averaged[f"average.{name}"] - value).norm() < 0.1 * value.norm() + 0.05


def test_a_validation_that_is_not_finite_stops_too(tmp_path):
    wild = replace(CONFIG, inner_lr=3.0, outer_lr=1e-9, val_every=1)
    with pytest.raises(
        InputError, match=r"not finite in validation task \d+ after \d+ inner steps"
    ):
        run(wild, tmp_path / "run")
    assert not RunDir(tmp_path / "run").best.exists()


def test_ctrl_c_during_a_validation_is_saved_before_it_stops(tmp_path, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluate_tasks(*arguments)

    monkeypatch.setattr("fewstep.training.loop.evaluate_tasks", interrupted)
    with pytest.raises(Interrupted):
        run(replace(CONFIG, checkpoint_every=1000), tmp_path / "run")
    _, progress = last(tmp_path / "run")
    assert progress.step == CONFIG.val_every


def test_metrics_are_json_even_where_there_is_no_number(tmp_path):
    run(replace(CONFIG, val_tasks=1), tmp_path)
    for line in RunDir(tmp_path).metrics.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_damaged_metrics(tmp_path):
    run(replace(CONFIG, steps=5), tmp_path)
    RunDir(tmp_path).metrics.write_text("damaged\n")
    with pytest.raises(InputError, match=r"metrics.jsonl has a line that is no metrics"):
        run(replace(CONFIG, steps=10), tmp_path)


@pytest.mark.parametrize("setting", ["inner_lr", "outer_lr"])
def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path, setting):
    run(replace(CONFIG, steps=10), tmp_path / "run")
    files = RunDir(tmp_path / "run")
    for path in (files.best, files.last):
        # As of an earlier version, which did not keep what a checkpoint was trained by.
        values, progress = checkpoint.load(path)
        checkpoint.save(path, values, replace(progress, settings=""))
    good = files.last.read_bytes()
    wild = replace(CONFIG, steps=100, **{setting: 1e30})
    RunDir(tmp_path / "run").config.write_text(config_json(wild))
    with pytest.raises(InputError, match="the checkpoint of outer step 10 is kept"):
        run(wild, tmp_path / "run")
    assert RunDir(tmp_path / "run").last.read_bytes() == good


def test_a_loss_that_is_not_finite_before_any_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"outer step 1; there is no checkpoint yet: try"):
        run(replace(CONFIG, inner_lr=1e30), tmp_path)


def test_a_signal_in_the_last_outer_step_is_heeded(tmp_path, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate_tasks(*arguments)

    monkeypatch.setattr("fewstep.training.loop.evaluate_tasks", interrupted)
    last_one = replace(CONFIG, steps=3)
    with pytest.raises(Interrupted, match="stopped after outer step 3"):
        run(last_one, tmp_path)
    monkeypatch.undo()
    assert run(last_one, tmp_path).progress.step == 3


def test_fewer_steps_than_were_done(tmp_path):
    run(replace(CONFIG, steps=10), tmp_path)
    before = RunDir(tmp_path).config.read_text()
    with pytest.raises(InputError, match="holds a run of 10 outer steps already, and steps is 5"):
        run(replace(CONFIG, steps=5), tmp_path)
    assert RunDir(tmp_path).config.read_text() == before


def test_a_run_of_another_version(tmp_path):
    run(replace(CONFIG, steps=5), tmp_path)
    RunDir(tmp_path).versions.write_text('{"fewstep": "0.0.1"}')
    with pytest.raises(InputError, match=r"was made by fewstep 0\.0\.1, and this is"):
        run(replace(CONFIG, steps=10), tmp_path)


def test_what_a_kill_in_the_beginning_left_behind_is_no_hindrance(tmp_path, monkeypatch):
    (tmp_path / ".versions.json.0a1b2c3d.part").write_text("{")
    written = []

    def killed_at_the_second(path, write):
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt
        write_whole(path, write)

    monkeypatch.setattr("fewstep.training.run_dir.write_whole", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(replace(CONFIG, steps=5), tmp_path)
    monkeypatch.undo()
    run(replace(CONFIG, steps=5), tmp_path)


def test_another_run_in_the_same_directory(tmp_path):
    run(replace(CONFIG, steps=5), tmp_path)
    with pytest.raises(InputError, match=r"holds a run with inner_lr = 0\.01, not 0\.02"):
        run(replace(CONFIG, steps=5, inner_lr=0.02), tmp_path)


def test_a_directory_that_is_no_run(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="exists and is no run directory"):
        run(CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_damaged_or_foreign_checkpoint(tmp_path):
    run(replace(CONFIG, steps=10), tmp_path / "run")
    files = RunDir(tmp_path / "run")
    content = files.best.read_bytes()
    files.best.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is damaged"):
        load_run(tmp_path / "run", None, "cpu")
    values, progress = {"other.weight": torch.zeros(2)}, checkpoint.Progress()
    checkpoint.save(files.best, values, progress)
    with pytest.raises(InputError, match="of another network"):
        load_run(tmp_path / "run", None, "cpu")
    files.best.unlink()
    with pytest.raises(InputError, match="has no validated checkpoint yet"):
        load_run(tmp_path / "run", None, "cpu")


def test_a_config_of_another_version(tmp_path):
    path = RunDir(tmp_path).config
    values = json.loads(config_json(CONFIG))
    for changed, told in (
        ({**values, "momentum": 1}, "unknown key momentum"),
        ({k: v for k, v in values.items() if k != "seed"}, "missing key seed"),
        ({**values, "algorithm": "mamba"}, "algorithm = 'mamba'; expected maml or"),
        ({**values, "steps": "many"}, "steps = 'many'; expected int"),
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=told):
            load_run(tmp_path, None, "cpu")
    for number in ("Infinity", "NaN", "1e999"):
        path.write_text(json.dumps({**values, "inner_lr": 7777}).replace("7777", number))
        with pytest.raises(InputError, match=r"is no number|inner_lr is inf"):
            load_run(tmp_path, None, "cpu")
    path.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load_run(tmp_path, None, "cpu")
    with pytest.raises(InputError, match=r"has no config.json"):
        load_run(tmp_path / "nowhere", None, "cpu")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_way": 0}, "n_way is 0"),
        ({"inner_lr": 0.0}, "inner_lr is 0.0; expected more than 0"),
        ({"averaging": 1.0}, "averaging is 1.0"),
        ({"seed": -1}, "seed is -1"),
        ({"inner_lr": math.inf}, "inner_lr is inf; expected a finite number"),
        ({"inner_lr": math.nan}, "inner_lr is nan; expected a finite number"),
        ({"proximal": math.inf}, "proximal is inf"),
        ({"final_outer_lr": math.nan}, "final_outer_lr is nan"),
        ({"seed": 2**63}, "expected at least 0 and less than"),
        ({"algorithm": "finetune"}, "data sinusoid with model mlp and algorithm finetune"),
        ({"data": "glyphs"}, "pictures need model conv4"),
        ({"device": "abacus"}, "device 'abacus' cannot be used"),
    ],
)
def test_settings_out_of_range(tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        run(replace(CONFIG, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_config_has_one_line_of_help_for_each_field():
    described = Config.__doc__.split("Attributes:")[1]
    for field in Config.__dataclass_fields__:
        assert f" {field}: " in described
