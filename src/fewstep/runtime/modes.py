"""What a caller has set of PyTorch, so that another process computes as the caller's would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Modes(NamedTuple):
    """Whether gradients are recorded, autocast on the CPU, and the type of new tensors."""

    grad: bool
    autocast: bool
    autocast_to: torch.dtype
    default: torch.dtype


def current_modes() -> Modes:
    """Those of this thread, now."""
    return Modes(
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.get_default_dtype(),
    )


@contextmanager
def computing_in(modes: Modes) -> Iterator[None]:
    """Inside, compute as where they were taken."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(modes.default)
    try:
        with (
            torch.set_grad_enabled(modes.grad),
            torch.autocast("cpu", modes.autocast_to, modes.autocast),
        ):
            yield
    finally:
        torch.set_default_dtype(before)
