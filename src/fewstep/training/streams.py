"""Streams of meta-batches, in the order of the outer steps, from tasks in any form."""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from fewstep.data.source import Sampler, made_on
from fewstep.errors import InputError
from fewstep.evaluation.task_sets import check_takes_number, iterate
from fewstep.runtime.rng import preserve_rng_state, reseed
from fewstep.tasks import TaskBatch

WORTH_SENDING = 0.002
"""Seconds: meta-batches that take longer to make are made by other processes. To receive one costs
nearly as much."""

Numbered = Iterator[tuple[Sequence[int], TaskBatch]]  # numbers are for messages
Stream = Callable[[int, int], Numbered]  # the meta-batches from outer step ``first`` to ``steps``
Part = Callable[[range], range]  # the numbers, of those of a meta-batch, whose tasks are needed


def whole(numbers: range) -> range:
    """All of them are needed."""
    return numbers


def stream_of(
    train: Any, meta_batch: int, seed: int, device: torch.device, part: Part = whole
) -> Stream:
    """The stream of a source, a callable or an iterable, on a device.

    A callable is called with the number of the outer step. Single tasks of an iterable are stacked
    to meta-batches, across its end too where it can be gone through again; batches are taken as
    they are. The random numbers that either draws from PyTorch, NumPy or Python follow from the
    seed and the outer step alone. Of each meta-batch this ``part`` is given.
    """
    if hasattr(train, "batch"):
        return lambda first, steps: meta_batches(train, meta_batch, first, steps, device, part)
    if isinstance(train, TaskBatch):
        numbered = range(len(train)), _part_of(train, part).to(device)
        return lambda first, steps: repeat(numbered, steps - first)
    if not callable(train) or isinstance(train, nn.Module):
        iterate(train)
    else:
        check_takes_number("train", train)

    def drawn(first: int, steps: int) -> Numbered:
        # The tasks of an iterable before the first are drawn and passed over.
        begin = first if callable(train) else 0
        batches = _called(train, begin) if callable(train) else _stacked(train, meta_batch)
        for step in range(begin, steps):
            with preserve_rng_state():
                reseed(zlib.crc32(f"{seed}/tasks/{step}".encode()))
                batch = next(batches, None)
            if batch is None and step < first:
                raise InputError(
                    f"train ended after {step} meta-batches, and {first} outer steps are done; "
                    "give the tasks from the first one on, as when the run began"
                )
            if batch is None:
                return
            if step >= first:
                yield range(len(batch)), _part_of(batch, part).to(device)

    return drawn


def meta_batches(
    source: Sampler,
    meta_batch: int,
    first: int,
    steps: int,
    device: torch.device,
    part: Part = whole,
) -> Numbered:
    """Meta-batches of a source, in which outer step s has the tasks from s * meta_batch on."""
    numbers = [range(s * meta_batch, (s + 1) * meta_batch) for s in range(first, steps)]
    here, needed = made_on(source, device), [part(of_step) for of_step in numbers]
    batches: Iterator[TaskBatch] = map(here.batch, needed)
    if hasattr(here, "in_order"):
        batches = here.in_order(needed)
    elif device.type == "cuda" and here is source:
        batches = made_ahead(source, needed, pin_memory=True)
    for of_step, batch in zip(numbers, batches, strict=True):
        yield of_step, batch.to(device)


def made_ahead(source: Sampler, numbers: list[range], pin_memory: bool) -> Iterator[TaskBatch]:
    """The meta-batches of these numbers of tasks, by other processes where these have to be.

    The first two are made here. They tell how long it takes, and whether it is done on a GPU, which
    a process that is forked cannot use.
    """
    seconds, on_host = 0.0, True
    for of_step in numbers[:2]:
        began = time.monotonic()
        batch = source.batch(of_step)
        seconds, on_host = time.monotonic() - began, batch.device.type == "cpu"
        yield batch
    rest = numbers[2:]
    if rest and on_host and seconds > WORTH_SENDING:
        yield from prefetched(source, rest, pin_memory)
    else:
        yield from map(source.batch, rest)


def prefetched(source: Sampler, numbers: list[range], pin_memory: bool) -> Iterator[TaskBatch]:
    """The meta-batches of these numbers of tasks, made before they are needed by other processes.

    On the CPU they would take the cores that compute; making a meta-batch is a hundredth of an
    outer step there.
    """
    loader: DataLoader[TaskBatch] = DataLoader(
        numbers,  # type: ignore[arg-type] # a list is a dataset
        batch_size=None,
        collate_fn=source.batch,
        num_workers=2,
        pin_memory=pin_memory,
    )
    return iter(loader)


def _part_of(batch: TaskBatch, part: Part) -> TaskBatch:
    needed = part(range(len(batch)))
    return batch if len(needed) == len(batch) else batch[needed.start : needed.stop]


def _called(train: Callable[[int], Any], step: int) -> Iterator[TaskBatch]:
    while True:
        batch = train(step)
        if not isinstance(batch, TaskBatch):
            raise InputError(
                f"train({step}) returned a {type(batch).__name__}; expected a TaskBatch"
            )
        yield batch
        step += 1


def _endless(tasks: Any) -> Iterator[TaskBatch]:
    """An iterable again and again; an iterator, which gives its tasks once, to its end."""
    while True:
        found = False
        for batch in iterate(tasks):
            found = True
            yield batch
        if isinstance(tasks, Iterator):
            return
        if not found:
            raise InputError("train is empty; expected at least one task")


def _stacked(tasks: Any, meta_batch: int) -> Iterator[TaskBatch]:
    """Batches as they are; single tasks, where the first is one, stacked to meta-batches."""
    waiting: list[TaskBatch] = []
    single: bool | None = None
    for batch in _endless(tasks):
        single = len(batch) == 1 if single is None else single
        if not single:
            yield batch
            continue
        if len(batch) > 1:
            raise InputError(
                f"train gives single tasks and then {len(batch)} at once; expected either single "
                "tasks or batches"
            )
        waiting.append(batch)
        if len(waiting) == meta_batch:
            yield _stack(waiting)
            waiting = []


def _stack(tasks: list[TaskBatch]) -> TaskBatch:
    batch = TaskBatch.stack(task.task(0) for task in tasks)
    classes = [task.classes for task in tasks if task.classes is not None]
    return replace(batch, classes=torch.cat(classes)) if len(classes) == len(tasks) else batch
