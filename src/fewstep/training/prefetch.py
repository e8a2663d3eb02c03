"""The meta-batches of a run, made ahead of need where a GPU would wait for them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from fewstep.config.schema import Config
from fewstep.data.source import Sampler
from fewstep.tasks import TaskBatch


def meta_batches(
    sampler: Sampler, config: Config, first: int
) -> Iterator[tuple[int, range, TaskBatch]]:
    """Outer step, numbers of its tasks, and the tasks on the config's device, from a step on."""
    steps = range(first, config.steps)
    numbers = [range(s * config.meta_batch, (s + 1) * config.meta_batch) for s in steps]
    batches: Iterator[TaskBatch] = map(sampler.batch, numbers)
    if torch.device(config.device).type == "cuda":
        batches = made_ahead(sampler, numbers, pin_memory=True)
    for step, of_step, batch in zip(steps, numbers, batches, strict=True):
        yield step, of_step, batch.to(config.device)


def made_ahead(sampler: Sampler, numbers: list[range], pin_memory: bool) -> Iterator[TaskBatch]:
    """The meta-batches of these numbers of tasks, made by other processes.

    On the CPU they would take the cores that compute; making a meta-batch is a hundredth of an
    outer step there.
    """
    tasks = _MetaBatches(sampler, numbers)
    return iter(DataLoader(tasks, batch_size=None, num_workers=2, pin_memory=pin_memory))


class _MetaBatches(Dataset[TaskBatch]):
    def __init__(self, sampler: Sampler, numbers: list[range]) -> None:
        self._sampler = sampler
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> TaskBatch:
        return self._sampler.batch(self._numbers[index])
