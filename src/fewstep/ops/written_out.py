"""Layers as operations that a GPU's compiler fuses, or that it computes for all tasks at once.

They stand in for PyTorch's own while a function is traced to be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.max_pool import Window, window_of
from fewstep.ops.unfolded_conv import conv1d, conv2d

Function = Callable[..., Any]

_active: ContextVar[Collection[Function] | None] = ContextVar("functions left alone", default=None)


@contextmanager
def layers_written_out(but: Collection[Function] = ()) -> Iterator[None]:
    """Have models called inside compute with the functions of this file.

    Args:
        but: Functions of PyTorch that are left as they are.
    """
    token = _active.set(but)
    try:
        yield
    finally:
        _active.reset(token)


def are_written_out() -> bool:
    """Whether `layers_written_out` is entered."""
    return _active.get() is not None


def left_alone() -> Collection[Function]:
    """The functions that `layers_written_out` was told to leave."""
    return _active.get() or ()


def max_pool2d(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Compute ``F.max_pool2d``; that of small windows as the largest of shifted slices."""
    window = window_of(*args, **kwargs)
    small = window is not None and window.size[0] * window.size[1] <= 9 and not window.ceil_mode
    if window is None or input.dim() != 4 or not small:
        return F.max_pool2d(input, *args, **kwargs)
    if window.stride == window.size and window.padding == (0, 0) and window.dilation == (1, 1):
        return _largest_of_tiles(input, *window.size)
    return _largest_of_slices(input, window)


def _largest_of_tiles(x: Tensor, high: int, wide: int) -> Tensor:
    """The sum of each tile, times a mask that is 1 where its first largest number is."""
    h, w = x.shape[-2] // high, x.shape[-1] // wide
    tiles = x[..., : h * high, : w * wide].unflatten(-1, (w, wide)).unflatten(-3, (h, high))
    values = [tiles.detach()[..., i, :, j] for i, j in product(range(high), range(wide))]
    largest = reduce(torch.maximum, values)
    place = torch.full_like(largest, len(values) - 1, dtype=torch.int8)
    for number, value in reversed(list(enumerate(values[:-1]))):
        place = torch.where(_is_largest(value, largest), number, place)
    numbers = torch.arange(high * wide, dtype=torch.int8, device=x.device).view(high, 1, wide)
    mask = place.unsqueeze(-2).unsqueeze(-1) == numbers
    return torch.where(mask, tiles, 0.0).sum((-3, -1))


def _largest_of_slices(x: Tensor, window: Window) -> Tensor:
    high, wide = window.padding
    if high or wide:
        x = F.pad(x, (wide, wide, high, high), value=-torch.inf)
    (s, t), (down, right) = window.stride, window.dilation
    h, w = (
        (n - d * (k - 1) - 1) // step + 1
        for n, k, step, d in zip(
            x.shape[-2:], window.size, window.stride, window.dilation, strict=True
        )
    )
    values = []
    for i, j in product(range(window.size[0]), range(window.size[1])):
        top, left = i * down, j * right
        rows = x[..., top : top + (h - 1) * s + 1 : s, :]
        values.append(rows[..., left : left + (w - 1) * t + 1 : t])
    return _first_largest(values)


def _first_largest(values: list[Tensor]) -> Tensor:
    """The largest of several tensors; the first of those that are equal has the gradient."""
    largest = reduce(torch.maximum, [value.detach() for value in values])
    result = values[-1]
    for value in reversed(values[:-1]):
        result = torch.where(_is_largest(value.detach(), largest), value, result)
    return result


def _is_largest(value: Tensor, largest: Tensor) -> Tensor:
    # NaN is the largest of all, and equals nothing.
    return (value == largest) | value.isnan()


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


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Compute ``F.instance_norm``."""
    if use_input_stats:
        return group_norm(input, input.shape[1], weight, bias, eps)
    statistics = (running_mean, running_var)
    return F.instance_norm(input, *statistics, weight, bias, False, momentum, eps)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Compute ``F.adaptive_avg_pool2d``."""
    if output_size in (1, (1, 1)) and input.dim() == 4:
        return input.mean((-2, -1), keepdim=True)
    return F.adaptive_avg_pool2d(input, output_size)


WRITTEN_OUT: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: conv2d,
    torch.conv1d: conv1d,
    torch.max_pool2d: max_pool2d,
    F.max_pool2d: max_pool2d,
    F.group_norm: group_norm,
    F.instance_norm: instance_norm,
    F.layer_norm: layer_norm,
    F.adaptive_avg_pool2d: adaptive_avg_pool2d,
}
"""Each takes the arguments of what it replaces."""
