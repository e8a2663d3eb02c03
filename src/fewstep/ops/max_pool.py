"""Max-pooling whose gradient has a fast derivative."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fewstep.ops.layout import IntOrPair, as_output, channels_last, pair, pictures, rows
from fewstep.ops.vmap import fold_tasks_into_batch, with_task_dim

_aten = torch.ops.aten


class Window(NamedTuple):
    """Settings of a pooling, each for height and width."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    ceil_mode: bool


def window_of(
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Window | None:
    """Make a window of the arguments of ``F.max_pool2d``; None where positions are wanted, too."""
    if return_indices:
        return None
    size = pair(kernel_size)
    return Window(size, pair(stride or size), pair(padding), pair(dilation), ceil_mode)


def max_pool(x: Tensor, window: Window) -> Tensor:
    """Compute ``F.max_pool2d`` of ``[examples, channels, height, width]``."""

    def pool(x: Tensor) -> Tensor:
        return _MaxPool.apply(channels_last(x), window)

    return with_task_dim(pool, x)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window) -> Tensor:
        result, where = largest(x, window)
        ctx.save_for_backward(x, where)
        ctx.window = window
        return as_output(result)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return _Scatter.apply(channels_last(g), *ctx.saved_tensors, ctx.window), None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, where: Tensor, window: Window) -> Tensor:
        ctx.save_for_backward(where)
        return scatter(g, x, where, window)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        (where,) = ctx.saved_tensors
        return gather(channels_last(v), where), None, None, None


def largest(x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return the largest number of each window, and its position among its picture's pixels."""
    if x.dim() == 5:
        return fold_tasks_into_batch(largest, x, window=window)
    return _aten.max_pool2d_with_indices(x, *window)


def scatter(g: Tensor, x: Tensor, where: Tensor, window: Window) -> Tensor:
    """Put each number at its position in zeros of the shape of ``x``."""
    if x.dim() == 5:
        return fold_tasks_into_batch(scatter, g, x, where, window=window)
    return _aten.max_pool2d_with_indices_backward(g, x, *window, where)


def gather(x: Tensor, where: Tensor) -> Tensor:
    """Return the numbers of ``x`` at the positions."""
    *front, channels, height, width = x.shape
    by_picture = rows(x).view(*front, height * width, channels)
    positions = rows(where).view(*front, -1, channels)
    return pictures(by_picture.gather(-2, positions), where)
