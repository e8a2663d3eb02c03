"""The family of known optimum: what is the best, and that R2-D2 comes near it."""

import pytest
import torch

from benchmarks import linear_family
from benchmarks.linear_family import INPUTS, NOISE, best_possible, draw, measure
from fewstep import MAML, R2D2


def test_nobody_beats_the_best_possible_predictor():
    mean = torch.ones(INPUTS)
    many = draw(mean, 400, 500, 50, seed=0)
    assert best_possible(mean, many) == pytest.approx(NOISE, rel=0.02)
    few = draw(mean, 4000, 5, 50, seed=0)
    # Another mean is a worse guess, and so is the mean of the weights alone.
    assert best_possible(mean, few) < 0.97 * best_possible(1.5 * mean, few)
    alone = (few.query_x.sum(-1, keepdim=True) - few.query_y).square().mean().sqrt()
    assert best_possible(mean, few) < 0.6 * alone


def test_r2d2_comes_within_5_percent_and_a_step_of_maml_does_not(monkeypatch):
    for name, value in {"STEPS": 120, "LR": 0.1, "TASKS": 1000}.items():
        monkeypatch.setattr(linear_family, name, value)
    ratios = {}
    for learner in (R2D2, MAML):
        make = (lambda m: R2D2(m, 1.0)) if learner is R2D2 else (lambda m: MAML(m, loss="mse"))
        found = measure(make, seed=0)
        ratios[learner] = max(error / best for error, best in found.values())
    assert 1 < ratios[R2D2] < 1.05 < ratios[MAML]
