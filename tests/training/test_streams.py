"""Meta-batches come in order, wherever they are made."""

from dataclasses import replace

import pytest
import torch

from fewstep.config.recipes import RECIPES
from fewstep.data.registry import task_sources
from fewstep.training.streams import meta_batches, prefetched

CONFIG = replace(RECIPES["glyphs-5way-1shot"].config, steps=7, meta_batch=2)


@pytest.mark.parametrize("first", [0, 3, 7])
def test_each_step_gets_its_tasks(first):
    sampler = task_sources(CONFIG)["train"]
    steps = []
    made = meta_batches(sampler, 2, first, 7, torch.device("cpu"))
    for step, (numbers, batch) in enumerate(made, first):
        assert numbers == range(2 * step, 2 * step + 2)
        assert torch.equal(batch.query_x, sampler.batch(numbers).query_x)
        steps.append(step)
    assert steps == list(range(first, 7))


def test_other_processes_make_the_same_tasks_in_the_same_order():
    sampler = task_sources(CONFIG)["train"]
    numbers = [range(2 * step, 2 * step + 2) for step in range(7)]
    made = list(prefetched(sampler, numbers, pin_memory=False))
    assert len(made) == 7
    for of_step, batch in zip(numbers, made, strict=True):
        assert torch.equal(batch.query_x, sampler.batch(of_step).query_x)
        assert torch.equal(batch.classes, sampler.batch(of_step).classes)
