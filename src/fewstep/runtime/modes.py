"""Modes of PyTorch that hold for a while: precision, threads, and those of a caller."""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from fewstep.choices import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass; the gradient takes its types from there."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def at_least_float32(x: Tensor) -> Tensor:
    """Convert what is kept beyond a prediction, such as statistics."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@contextmanager
def setting_of(backends: Iterable[object], name: str, value: bool) -> Iterator[None]:
    """Give a setting of several of PyTorch's backends a value."""
    with ExitStack() as stack:
        for backend in backends:
            stack.callback(setattr, backend, name, getattr(backend, name))
            setattr(backend, name, value)
        yield


@contextmanager
def arithmetic_of(precision: Precision) -> Iterator[None]:
    """Let a GPU round the factors of float32 products to TF32, or not, forward and backward.

    Its convolutions add up in one order, so that the same outer step has the same bits again.
    """
    with (
        _products_in(precision == "tf32"),
        setting_of((torch.backends.cudnn,), "deterministic", True),
    ):
        yield


@contextmanager
def _products_in(tf32: bool) -> Iterator[None]:
    """PyTorch has older and newer settings of the same, and refuses to tell older ones that differ.

    Inside they agree, for a model that looks. Outside they are as they were, agreed or not.
    """
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    newer: Any = (cuda.matmul, cudnn.conv, cudnn.rnn)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        stack.callback(_choose, newer, [kind.fp32_precision for kind in newer])
        with suppress(RuntimeError):
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        with suppress(RuntimeError):
            stack.callback(setattr, cudnn, "allow_tf32", cudnn.allow_tf32)
        cuda.matmul.allow_tf32 = cudnn.allow_tf32 = tf32
        _choose(newer, len(newer) * ["tf32" if tf32 else "ieee"])
        yield


def _choose(kinds: Sequence[Any], precisions: Sequence[str]) -> None:
    for kind, precision in zip(kinds, precisions, strict=True):
        # What follows from a wider setting goes on to do so.
        if kind.fp32_precision != precision:
            kind.fp32_precision = precision


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
    """Let no other thread compute with any learner, and have gradients, without autocast, inside.

    While a model is called, its parameters are others, and PyTorch's generators are seeded for a
    task: what one thread has put in place another would find. Autocast is a learner's own setting;
    that of a caller would reach derivatives, and those of some plans only.
    """
    with _lock, ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
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
