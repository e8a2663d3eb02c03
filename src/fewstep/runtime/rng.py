"""Random layers that draw the same numbers wherever and in whatever order a task is computed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy
import torch

_MOST_STEPS = 2**20 - 1  # more than anyone takes: no two draws of random layers share a seed

_first: ContextVar[tuple[int | None, int]] = ContextVar("its seed and number", default=(None, 0))
"""Of the first task that is computed here."""


@contextmanager
def seeded_calls() -> Iterator[int]:
    """Draw one seed from PyTorch's generator, and give the generator back as it then was.

    Inside, `reseed` may be called at will. ``torch.manual_seed`` before it fixes all that follows.
    """
    given, _ = _first.get()
    seed = int(torch.randint(2**48, ())) if given is None else given
    with preserve_rng_state():
        yield seed


@contextmanager
def numbered_from(seed: int, first: int) -> Iterator[None]:
    """Let tasks draw, inside, what those from number ``first`` on draw after this seed."""
    before = _first.set((seed_of(seed, first, 0), first))
    try:
        yield
    finally:
        _first.reset(before)


@contextmanager
def numbered_call(first: int) -> Iterator[None]:
    """Let a call of a learner draw, for its tasks, what those from ``first`` on of one call do."""
    with seeded_calls() as seed, numbered_from(seed, first):
        yield


def first_task() -> int:
    """Return the number, in the whole meta-batch, of the first task that is computed here."""
    return _first.get()[1]


@contextmanager
def preserve_rng_state() -> Iterator[None]:
    """Give the generators of PyTorch, Python and NumPy back as they were: all of `reseed`."""
    before, numpy_before = random.getstate(), numpy.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count() if _cuda() else 0)):
            yield
    finally:
        random.setstate(before)
        numpy.random.set_state(numpy_before)


def outside_generators() -> tuple[object, ...]:
    """Return the states of the generators that models may draw from beside PyTorch's."""
    kind, keys, *others = numpy.random.get_state()
    return random.getstate(), kind, numpy.asarray(keys).tobytes(), *others


def generator_state(device: torch.device) -> torch.Tensor:
    """Return the state of the generator that random layers on a device draw from."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.get_rng_state()


def seed_of(seed: int, task: int, step: int | None) -> int:
    """Return the seed of an inner step of a task, or of its query set where there is none."""
    return seed + task * (_MOST_STEPS + 1) + (_MOST_STEPS if step is None else step)


def seed_torch(seed: int, device: torch.device) -> None:
    """Start PyTorch's generators of the CPU and of a device anew."""
    # torch.manual_seed takes half a millisecond, most of it for devices that are not there.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


def reseed(seed: int) -> None:
    """Start the generators of every device anew, and those of Python and NumPy."""
    # torch.manual_seed takes half a millisecond, most of it for devices that are not there.
    torch.default_generator.manual_seed(seed)
    if _cuda():
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)


def _cuda() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
