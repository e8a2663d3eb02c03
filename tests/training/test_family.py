"""Every algorithm trains, and what changes with the outer step survives an interruption."""

from dataclasses import replace

import pytest
import torch

from fewstep import InputError
from fewstep.config.algorithms import with_algorithm
from fewstep.config.recipes import RECIPES
from fewstep.training.runs import load_run

from .shared import last, run

GLYPHS = replace(
    RECIPES["glyphs-5way-1shot"].config,
    filters=4,
    meta_batch=2,
    steps=3,
    val_every=3,
    val_tasks=2,
    workers=1,
)
ALGORITHMS = ["maml", "fomaml", "anil", "boil", "meta-sgd", "maml++", "cavia"]


@pytest.mark.parametrize("recipe", ["glyphs", "sinusoid"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains_and_is_loaded_again(algorithm, recipe, tmp_path):
    plain = GLYPHS
    if recipe == "sinusoid":
        plain = replace(RECIPES["sinusoid"].config, steps=3, val_every=3, val_tasks=2)
    config = with_algorithm(plain, algorithm)
    trained = run(config, tmp_path / "run")
    again = dict(load_run(tmp_path / "run", None, "cpu").learner.named_parameters())
    for name, value in trained.learner.named_parameters():
        assert torch.equal(again[name], value)


def test_each_algorithm_has_settings_of_its_own():
    kinds = {repr(replace(with_algorithm(GLYPHS, a), algorithm="maml")) for a in ALGORITHMS}
    assert len(kinds) == len(ALGORITHMS)


def _interrupted(config, path, monkeypatch):
    """Stopped by an error after six outer steps, and gone on with."""
    from fewstep.learners.maml import MAML

    differentiate = MAML.differentiate

    def failing(self, tasks, outer_step=0):
        if outer_step == 6:
            raise InputError("stopped")
        return differentiate(self, tasks, outer_step)

    with monkeypatch.context() as patch:
        patch.setattr(MAML, "differentiate", failing)
        with pytest.raises(InputError, match="stopped"):
            run(config, path)
    run(config, path)


def test_maml_plus_plus_goes_on_to_the_same_end(tmp_path, monkeypatch):
    config = with_algorithm(
        replace(GLYPHS, steps=10, val_every=10, checkpoint_every=4, ema_decay=0.9), "maml++"
    )
    config = replace(config, multi_step_loss=0.8, first_order_share=0.5)
    run(config, tmp_path / "whole")
    _interrupted(config, tmp_path / "interrupted", monkeypatch)
    (whole, _), (other, _) = last(tmp_path / "whole"), last(tmp_path / "interrupted")
    assert whole.keys() == other.keys()
    assert all(torch.equal(whole[name], other[name]) for name in whole)
    statistic = whole["learned.per_step.1.1.running_mean"]
    assert statistic.abs().sum() > 0
    assert "adam.per_step.1.1.running_mean.exp_avg" not in whole
    assert whole["learned.inner_lr.0.0.weight"].unique().numel() > 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("multi_step_loss", 1.0),
        ("first_order_share", 1.0),
        ("final_outer_lr", 1e-5),
        ("per_step_affine", True),
        ("step_sizes", "per-step"),
        ("per_step_statistics", True),
    ],
)
def test_each_setting_reaches_the_run(setting, value, tmp_path):
    config = replace(GLYPHS, inner_steps=2, test_inner_steps=2, norm="inductive", inner_lr=0.1)
    scores = []
    for number, changed in enumerate((config, replace(config, **{setting: value}))):
        trained = run(changed, tmp_path / str(number))
        torch.manual_seed(0)
        support_x, query_x = torch.rand(2, 5, 1, 28, 28)
        scores.append(trained.learner.adapt(support_x, torch.arange(5))(query_x))
    assert not torch.equal(*scores)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"step_sizes": "per-step"}, r"test_inner_steps is 5, .* each of 1 inner steps; choose"),
        ({"per_step_affine": True}, "test_inner_steps is 5"),
        ({"per_step_statistics": True}, "test_inner_steps is 5"),
        ({"adapting": "context"}, "adapting is context and context is 0; give its size"),
        ({"multi_step_loss": 1.5}, "multi_step_loss is 1.5; expected a share of the outer steps"),
        (
            {"first_order_share": -0.1},
            "first_order_share is -0.1; expected a share of the outer",
        ),
        ({"final_outer_lr": 1.0}, "final_outer_lr is 1.0; expected at least 0 and at most"),
        ({"context": -1}, "context is -1; expected 0 or more"),
    ],
)
def test_settings_that_contradict_each_other(changes, told):
    with pytest.raises(InputError, match=told):
        replace(GLYPHS, **changes)


def test_batch_norm_settings_without_batch_norm():
    with pytest.raises(InputError, match="model mlp has no batch norm"):
        replace(RECIPES["sinusoid"].config, per_step_affine=True, test_inner_steps=1)
