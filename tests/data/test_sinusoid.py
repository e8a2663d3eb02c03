"""Sinusoid tasks are those of the MAML paper."""

import numpy as np
import pytest
import torch

from fewstep import InputError
from fewstep.data.sinusoid import BLOCK, SinusoidSampler


def test_points_lie_on_a_sine_of_the_papers_range():
    tasks = SinusoidSampler(k_shot=10, q_query=20).batch(range(50))
    assert tasks.support_x.shape == (50, 10, 1)
    assert tasks.query_y.shape == (50, 20, 1)
    amplitudes = []
    for t in range(50):
        x = torch.cat([tasks.support_x[t], tasks.query_x[t]]).double()
        y = torch.cat([tasks.support_y[t], tasks.query_y[t]]).double()
        assert x.abs().max() <= 5
        # y = a sin x + b cos x has an exact solution for every amplitude and phase.
        waves = torch.cat([x.sin(), x.cos()], 1)
        solution = torch.linalg.lstsq(waves, y).solution
        assert (waves @ solution - y).abs().max() < 1e-4
        amplitudes.append(float(solution.norm()))
        # The phase is between 0 and pi, so -A sin(phase), the factor of cos, is not positive.
        assert solution[1] <= 1e-4
    assert 0.1 <= min(amplitudes) < 1
    assert 4 < max(amplitudes) <= 5.001
    assert np.std(amplitudes) > 1


def test_a_task_depends_on_its_number_alone():
    sampler = SinusoidSampler(5, 5, seed=3)
    assert torch.equal(sampler.batch([9]).query_y[0], sampler.batch(range(10)).query_y[9])
    numbers = [2 * BLOCK, 3, BLOCK, BLOCK - 1, 3]
    together = sampler.batch(numbers)
    for place, number in enumerate(numbers):
        assert torch.equal(sampler.batch([number]).support_x[0], together.support_x[place])
    assert not torch.equal(together.support_x[0], together.support_x[2])


def test_no_points():
    with pytest.raises(InputError, match="k_shot is 0"):
        SinusoidSampler(0, 1)
