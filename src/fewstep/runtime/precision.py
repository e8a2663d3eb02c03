"""In what precision a model is computed. Parameters, gradients and losses stay float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

Precision = Literal["float32", "tf32", "bf16"]


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """For the forward pass: the gradient takes its types from there."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def at_least_float32(x: Tensor) -> Tensor:
    """For what is kept beyond a prediction, such as statistics."""
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
