"""Modes of PyTorch that hold for a while: precision, threads, and those of a caller."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Precision = Literal["float32", "tf32", "bf16"]
"""Precision of a model's computation. Parameters, gradients and losses stay float32."""


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass; the gradient takes its types from there."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def at_least_float32(x: Tensor) -> Tensor:
    """Convert what is kept beyond a prediction, such as statistics."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@contextmanager
def multiplying_in(precision: Precision) -> Iterator[None]:
    """Let a GPU round the factors of float32 products to TF32, or not, forward and backward."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = precision == "tf32"
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread only, so that what is inside keeps to one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def exclusive() -> Iterator[None]:
    """Let no other thread compute with any learner, and have gradients inside.

    While a model is called, its parameters are others, and PyTorch's generators are seeded for a
    task: what one thread has put in place another would find.
    """
    with _lock:
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            yield
        else:
            with torch.inference_mode(False), torch.enable_grad():
                yield


_lock = threading.RLock()


def _renew_lock() -> None:
    # The thread that held it may not be there in a process that was forked.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class CallerModes(NamedTuple):
    """Modes in which a caller computes, for another process to compute in the same.

    Attributes:
        grad: Whether gradients are recorded.
        autocast: Whether autocast is on, on the CPU.
        autocast_to: Its type.
        default: The type of new tensors.
    """

    grad: bool
    autocast: bool
    autocast_to: torch.dtype
    default: torch.dtype


def current_modes() -> CallerModes:
    """Return those of this thread, now."""
    return CallerModes(
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.get_default_dtype(),
    )


@contextmanager
def computing_in(modes: CallerModes) -> Iterator[None]:
    """Compute, inside, in a caller's modes."""
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
