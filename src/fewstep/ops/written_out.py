"""Layers as operations that a GPU's compiler fuses, or that it computes for all tasks at once.

They stand in for PyTorch's own while a function is traced to be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.layout import Size
from fewstep.ops.max_pool import window_of
from fewstep.ops.unfolded_conv import conv1d, conv2d

_active: ContextVar[bool] = ContextVar("whether layers are written out", default=False)


@contextmanager
def layers_written_out() -> Iterator[None]:
    """Have models called inside compute with the functions of this file."""
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)


def are_written_out() -> bool:
    """Whether `layers_written_out` is entered."""
    return _active.get()


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Compute ``F.max_pool2d``; that of small windows as the largest of shifted slices."""
    window = window_of(kernel_size, stride, padding, dilation, ceil_mode)
    taps = window.size[0] * window.size[1]
    if return_indices or input.dim() != 4 or taps > 9 or ceil_mode:
        return F.max_pool2d(input, *window, return_indices)
    high, wide = window.padding
    if high or wide:
        input = F.pad(input, (wide, wide, high, high), value=-torch.inf)
    (h, w), (s, t) = (
        (
            (n - d * (k - 1) - 1) // step + 1
            for n, k, step, d in zip(
                input.shape[-2:], window.size, window.stride, window.dilation, strict=True
            )
        ),
        window.stride,
    )
    values = []
    for i, j in product(range(window.size[0]), range(window.size[1])):
        top, left = i * window.dilation[0], j * window.dilation[1]
        tap = input[..., top : top + (h - 1) * s + 1 : s, left : left + (w - 1) * t + 1 : t]
        values.append(tap)
    return _first_largest(values)


def _first_largest(values: list[Tensor]) -> Tensor:
    """The largest of several tensors; the first of those that are equal has the gradient."""
    largest = reduce(torch.maximum, [value.detach() for value in values])
    result = values[-1]
    for value in reversed(values[:-1]):
        result = torch.where(value.detach() == largest, value, result)
    return result


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Compute ``F.group_norm``."""
    groups = input.unflatten(1, (num_groups, -1))
    others = list(range(2, groups.dim()))
    centred = groups - groups.mean(others, keepdim=True)
    normed = centred * (centred.square().mean(others, keepdim=True) + eps).rsqrt()
    result = normed.flatten(1, 2)
    shape = [1, -1] + [1] * (input.dim() - 2)
    result = result if weight is None else result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Compute ``F.layer_norm``."""
    others = list(range(-len(normalized_shape), 0))
    centred = input - input.mean(others, keepdim=True)
    result = centred * (centred.square().mean(others, keepdim=True) + eps).rsqrt()
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def adaptive_avg_pool2d(x: Tensor, output_size: Any) -> Tensor:
    """Compute ``F.adaptive_avg_pool2d``."""
    if output_size in (1, (1, 1)) and x.dim() == 4:
        return x.mean((-2, -1), keepdim=True)
    return F.adaptive_avg_pool2d(x, output_size)


WRITTEN_OUT: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: conv2d,
    torch.conv1d: conv1d,
    torch.max_pool2d: max_pool2d,
    F.max_pool2d: max_pool2d,
    F.group_norm: group_norm,
    F.layer_norm: layer_norm,
    F.adaptive_avg_pool2d: adaptive_avg_pool2d,
}
"""Each takes the arguments of what it replaces."""
