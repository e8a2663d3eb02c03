"""The family of known optimum: what is the best, and that R2-D2 comes near it."""

import pytest
import torch

from benchmarks import linear_family
from benchmarks.linear_family import INPUTS, NOISE, best_possible, draw, measure
from fewstep import R2D2


def test_nobody_beats_the_best_possible_predictor():
    mean = torch.ones(INPUTS)
    many = draw(mean, 400, 500, 50, seed=0)
    assert best_possible(mean, many) == pytest.approx(NOISE, rel=0.02)
    few = draw(mean, 4000, 5, 50, seed=0)
    # Another mean is a worse guess, and so is the mean of the weights alone.
    assert best_possible(mean, few) < 0.97 * best_possible(1.5 * mean, few)
    alone = (few.query_x.sum(-1, keepdim=True) - few.query_y).square().mean().sqrt()
    assert best_possible(mean, few) < 0.6 * alone


def test_r2d2_comes_within_5_percent(monkeypatch):
    for name, value in {"STEPS": 300, "LR": 0.1, "TASKS": 1000}.items():
        monkeypatch.setattr(linear_family, name, value)
    found = measure(lambda model: R2D2(model, penalty=1.0), seed=0)
    assert 1 < max(error / best for error, best in found.values()) < 1.05
