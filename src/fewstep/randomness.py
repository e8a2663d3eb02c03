"""Random layers that draw the same numbers wherever and in whatever order a task is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded_calls(device: torch.device) -> Iterator[int]:
    """Draw one seed from PyTorch's generator, and give the generator back as it then was.

    Inside, `reseed` may be called at will. ``torch.manual_seed`` before it fixes all that follows.
    """
    seed = int(torch.randint(2**48, ()))
    with undisturbed(device):
        yield seed


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Give PyTorch's generators back as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def reseed(seed: int) -> None:
    """Start the generators of every device anew."""
    # torch.manual_seed takes half a millisecond, most of it for devices that are not there.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
