"""Settings that change from outer step to outer step."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from fewstep import MAML
from fewstep.learners.schedules import cosine, importances
from tests.factory import cnn, make_pictures

STEPS = 2


network = partial(cnn, nn.Tanh(), dtype=torch.float64)
some_tasks = partial(make_pictures, shots=2, dtype=torch.float64)


def test_importances_move_from_all_steps_to_the_last():
    assert importances(5, 0, 100) == pytest.approx([0, 0.2, 0.2, 0.2, 0.2, 0.2])
    half = importances(5, 50, 100)
    assert half == pytest.approx([0, 0.1, 0.1, 0.1, 0.1, 0.6])
    assert importances(5, 99, 100) == pytest.approx([0, 0.006, 0.006, 0.006, 0.006, 0.976])
    for late in (importances(5, 100, 100), importances(5, 10**6, 100), importances(5, 0, 0)):
        assert late == (0, 0, 0, 0, 0, 1)
    assert importances(1, 0, 100) == (0, 1)
    assert importances(0, 0, 100) == (1,)
    for step in range(0, 120, 7):
        assert sum(importances(4, step, 100)) == pytest.approx(1)


def test_first_order_at_first_then_exact():
    learner = MAML(network(), 0.2, STEPS, first_order_steps=5)
    for outer_step, order in ((0, "first"), (4, "first"), (5, "exact"), (50, "exact")):
        _, expected = MAML(network(), 0.2, STEPS, order=order).meta_gradient(some_tasks())
        _, found = learner.meta_gradient(some_tasks(), outer_step)
        torch.testing.assert_close(found, expected)


def test_cosine_annealing():
    assert cosine(1.0, 0.1, 0, 100) == 1.0
    assert cosine(1.0, 0.1, 50, 100) == pytest.approx(0.55)
    assert cosine(1.0, 0.1, 100, 100) == pytest.approx(0.1)
    assert cosine(1.0, 0.0, 25, 100) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert cosine(1.0, None, 70, 100) == 1.0
