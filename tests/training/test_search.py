"""A search draws what has an effect, and picks the best."""

from dataclasses import replace

import numpy as np
import pytest

from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.training.search import (
    Trial,
    best,
    changed,
    drawn,
    shortened,
    simplest,
    space_of,
)

SINUSOID = RECIPES["sinusoid"].config


@pytest.mark.parametrize(
    ("algorithm", "names"),
    [
        ("maml", ["layers", "width", "inner_lr", "inner_steps", "outer_lr"]),
        ("r2d2", ["layers", "width", "penalty", "outer_lr"]),
    ],
)
def test_settings_without_effect_are_not_searched_over(algorithm, names):
    config = with_algorithm(SINUSOID, algorithm)
    assert list(space_of(config, lambda _: False)) == names
    assert list(space_of(config, lambda name: name == "layers")) == names[1:]
    pictures = with_algorithm(RECIPES["glyphs-5way-1shot"].config, "protonet")
    assert list(space_of(pictures, lambda _: False)) == ["outer_lr"]


def test_the_first_trial_is_the_config_and_none_comes_twice():
    space = space_of(SINUSOID, lambda _: False)
    choices = drawn(SINUSOID, space, 20)
    assert choices == drawn(SINUSOID, space, 20)
    assert choices[:5] == drawn(SINUSOID, space, 5)
    assert changed(SINUSOID, choices[0]) == SINUSOID
    assert len({str(one) for one in choices}) == 20
    assert {one["width"] for one in choices if one["layers"] == 0} <= {SINUSOID.width}
    assert len(drawn(SINUSOID, {"outer_lr": (1e-3, 3e-3)}, 20)) == 2
    assert sorted(one["layers"] for one in choices[1:5]) == [0, 1, 2, 3]
    assert drawn(replace(SINUSOID, seed=1), space, 20) != choices


def test_more_inner_steps_are_evaluated_too():
    assert changed(SINUSOID, {"inner_steps": 30}).test_inner_steps == 30
    assert changed(SINUSOID, {"layers": 1}).test_inner_steps == SINUSOID.test_inner_steps
    few = replace(with_algorithm(SINUSOID, "r2d2"), inner_steps=5)
    assert changed(few, {"layers": 1}).test_inner_steps == 1
    per_step = replace(SINUSOID, step_sizes="per-step", inner_steps=10)
    assert changed(per_step, {"inner_steps": 3}).test_inner_steps == 3


def test_a_trial_is_a_part_of_the_training_and_has_a_validation():
    assert shortened(replace(SINUSOID, steps=8000, val_every=1000)).steps == 2000
    assert shortened(replace(SINUSOID, steps=2000, val_every=1000)).steps == 1000
    assert shortened(replace(SINUSOID, steps=10, val_every=1000)).steps == 10


def trial(*scores, parameters=10):
    return Trial({}, parameters, np.array(scores))


def test_the_best_of_those_that_did_not_diverge():
    trials = [trial(np.nan, 0.0), trial(0.5, 0.5), trial(0.25, 0.25)]
    assert best(trials, larger_is_better=True) is trials[1]
    assert best(trials, larger_is_better=False) is trials[2]
    assert best(trials[:1], larger_is_better=True) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_of_those_not_told_apart_the_simplest_is_taken(sign):
    top = trial(sign * 1.0, sign * 2.0, sign * 3.0)
    level = trial(sign * 0.8, sign * 2.1, sign * 2.9, parameters=5)
    worse = trial(sign * 0.8, sign * 1.8, sign * 2.8, parameters=1)
    diverged = trial(np.nan, np.nan, np.nan, parameters=0)
    larger = trial(sign * 1.0, sign * 2.0, sign * 3.0, parameters=20)
    trials = [larger, worse, top, level, diverged]
    assert best(trials, larger_is_better=sign > 0) is larger
    assert simplest(trials, top, larger_is_better=sign > 0) is level
    assert simplest([worse, top, larger], top, larger_is_better=sign > 0) is top
    one = [trial(sign * 1.0), trial(sign * 0.9, parameters=1)]
    assert simplest(one, one[0], larger_is_better=sign > 0) is one[0]
