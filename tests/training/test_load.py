"""A run directory is read back, whoever made it, by this version or the one before."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fewstep
from fewstep import InputError
from fewstep.cli import main
from fewstep.config.recipes import RECIPES
from fewstep.data.preparation import Preparation
from fewstep.data.registry import task_sources
from fewstep.data.sinusoid import SinusoidSampler
from tests.training.shared import FIT, GLYPHS, run, small_learner

TRAIN, VAL = SinusoidSampler(5, 5), SinusoidSampler(5, 5, split="val")
SHORT = {"steps": 4, "meta_batch": 2, "val_every": 2, "val_tasks": 2}


def model():
    return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def made(path, **settings):
    learner = fewstep.MAML(model(), inner_lr=0.02, inner_steps=2, loss="mse", **settings)
    fewstep.fit(learner, TRAIN, VAL, run_dir=path, **SHORT)
    return learner


def predictions(learner):
    x, y, query_x, _ = VAL.batch([9]).task(0)
    return learner.adapt(x, y)(query_x)


def test_a_run_of_fit_with_the_network(tmp_path):
    learner = made(tmp_path)
    loaded = fewstep.load(tmp_path, model())
    assert loaded.learner.inner_steps == 2
    assert torch.equal(predictions(loaded.learner), predictions(learner))
    assert loaded.config["learner.inner_lr"] == 0.02
    assert loaded.progress.best_step in (2, 4)


def test_a_learner_with_settings_of_its_own(tmp_path):
    settings = {"step_sizes": "per-element", "adapting": "head", "inner_optimizer": "momentum"}
    learner = made(tmp_path, **settings)
    assert torch.equal(predictions(fewstep.load(tmp_path, model()).learner), predictions(learner))


def test_a_learner_with_code_of_the_user(tmp_path):
    own = {"mae": lambda prediction, target: F.l1_loss(prediction, target)}
    with_own = fewstep.MAML(model(), inner_lr=0.02, loss="mse", metrics=own)
    fewstep.fit(with_own, TRAIN, VAL, run_dir=tmp_path, larger_is_better=False, **SHORT)
    with pytest.raises(InputError, match=r"a learner with metrics of your own; give the learner"):
        fewstep.load(tmp_path, model())
    given = fewstep.MAML(model(), inner_lr=0.02, loss="mse", metrics=own)
    loaded = fewstep.load(tmp_path, given)
    assert loaded.learner is given
    assert torch.equal(predictions(given), predictions(with_own))


def test_a_run_of_the_command_line(tmp_path):
    config = replace(RECIPES["sinusoid"].config, val_tasks=2, steps=2, val_every=1, meta_batch=2)
    trained = run(config, tmp_path)
    loaded = fewstep.load(tmp_path)
    assert loaded.config == config
    assert torch.equal(predictions(loaded.learner), predictions(trained.learner))
    assert fewstep.evaluate(loaded.learner, VAL, n=3).tasks == 3
    with pytest.raises(InputError, match="which knows its network; leave model out"):
        fewstep.load(tmp_path, model())


def test_a_network_is_needed_and_has_to_fit(tmp_path):
    made(tmp_path)
    with pytest.raises(InputError, match=r"was made by fewstep.fit with a network of your own"):
        fewstep.load(tmp_path)
    with pytest.raises(InputError, match="of another network"):
        fewstep.load(tmp_path, nn.Linear(1, 1))


@pytest.mark.parametrize("command", ["evaluate", "compare", "train sinusoid --run-dir"])
def test_the_command_line_says_how_to_use_it(command, tmp_path, capsys):
    made(tmp_path / "run")
    assert main([*command.split(), str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "was made by fewstep.fit, with a network of your own: use it in Python" in told


def test_what_is_put_on_no_device(tmp_path):
    fewstep.fit(small_learner(), **FIT, run_dir=tmp_path)
    with pytest.raises(InputError, match=r"device is 'cuda:7', and .* no run of fewstep train"):
        fewstep.load(tmp_path, small_learner(), device="cuda:7")


def test_fit_in_a_run_of_the_command_line(tmp_path):
    run(replace(RECIPES["sinusoid"].config, val_tasks=2, steps=1, meta_batch=2), tmp_path)
    with pytest.raises(InputError, match="was made by fewstep train: go on with it there"):
        made(tmp_path)


def test_what_is_no_run(tmp_path):
    with pytest.raises(InputError, match=r"has no config.json"):
        fewstep.load(tmp_path)
    (tmp_path / "file").write_text("")
    for name in ("nosuch", "file"):
        with pytest.raises(InputError, match=r"has no config.json; expected a run directory of"):
            fewstep.load(tmp_path / name, model())
    for content in (b"", b"[]", b'{"made_by": "fewst', b"\xff\xfe"):
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(InputError, match=r"config.json (is not JSON|holds no JSON object)"):
            fewstep.load(tmp_path, model())
    made(tmp_path / "run")
    (tmp_path / "run" / "best.safetensors").unlink()
    with pytest.raises(InputError, match=r"best.safetensors does not exist; train in this"):
        fewstep.load(tmp_path / "run", model())


def test_a_learner_knows_how_its_pictures_were_prepared(tmp_path):
    config = GLYPHS
    run(config, tmp_path / "run")
    learner = fewstep.load(tmp_path / "run").learner
    assert learner.preparation == Preparation(28, 1, ink=True)
    assert learner.config == config
    glyphs = task_sources(config)
    own = fewstep.MAML(fewstep.models.conv4(1, 28, 5, filters=4))
    fewstep.fit(own, glyphs["train"], run_dir=tmp_path / "fit", steps=2, meta_batch=2)
    assert own.preparation == Preparation(28, 1, ink=True)
    fresh = fewstep.models.conv4(1, 28, 5, filters=4)
    fewstep.fit(
        fewstep.MAML(fresh), glyphs["train"], glyphs["val"], run_dir=tmp_path / "v", **SHORT
    )
    assert fewstep.load(tmp_path / "v", fresh).learner.preparation == Preparation(28, 1, ink=True)
    # Tasks that are no pictures leave it as it was.
    assert made(tmp_path / "sinusoid").preparation is None
    assert fewstep.load(tmp_path / "sinusoid", model()).learner.preparation is None
