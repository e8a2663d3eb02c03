"""Generators are given back as they were, on every device that is seeded for a task."""

import pytest
import torch

from fewstep import MAML
from fewstep.runtime.rng import preserve_rng_state, reseed
from tests.factory import make_tasks, mlp


@pytest.fixture
def two_gpus(monkeypatch):
    """Generators of the CPU in the place of those of two GPUs."""
    generators = [torch.Generator().manual_seed(number) for number in (1, 2)]

    def seed_all(seed):
        for generator in generators:
            generator.manual_seed(seed)

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seed_all)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda n: generators[n].get_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda s, n: generators[n].set_state(s))
    return generators


def test_those_of_all_gpus_are_given_back(two_gpus):
    before = [generator.get_state() for generator in two_gpus]
    with preserve_rng_state():
        reseed(0)
        assert {generator.initial_seed() for generator in two_gpus} == {0}
    for generator, state in zip(two_gpus, before, strict=True):
        assert torch.equal(generator.get_state(), state)


def test_a_learner_on_a_cpu_leaves_those_of_gpus(two_gpus):
    learner, tasks = MAML(mlp(), execution="loop"), make_tasks(2)
    before = [generator.get_state() for generator in two_gpus]
    learner(tasks).backward()
    learner.adapt(tasks.support_x[0], tasks.support_y[0])
    for generator, state in zip(two_gpus, before, strict=True):
        assert torch.equal(generator.get_state(), state)


@pytest.mark.cuda
def test_that_of_a_gpu_is_given_back():
    learner, tasks = MAML(mlp(), execution="loop"), make_tasks(2)
    torch.cuda.manual_seed_all(7)
    before = torch.cuda.get_rng_state()
    learner(tasks).backward()
    assert torch.equal(torch.cuda.get_rng_state(), before)
