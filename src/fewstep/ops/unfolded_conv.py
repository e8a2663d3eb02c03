"""Convolution as batched products of unfolded pictures, for weights of which each task has its own.

A GPU's library has no fast kernel for that: it would take one group a task, or one task after
another.
"""

from __future__ import annotations

from itertools import product
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_batchedtensor

from fewstep.ops.layout import IntOrPair, pair
from fewstep.ops.vmap import under_vmap

_aten = torch.ops.aten

MOST_TAPS = 25
"""Of a kernel; pictures unfolded for a larger one would take too much memory."""
BLOCKS = 264
"""How many parts a product is computed in that keeps a large GPU busy: two a multiprocessor."""
LONGEST_SUM, SHORTEST_SUM = 1024, 128
"""Numbers of a row of the product that is a weight's gradient."""


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Compute ``F.conv2d``; under vmap with weights of each task by products."""
    taps = weight.shape[-1] * weight.shape[-2]
    if not under_vmap(weight) or input.dim() != 4 or groups != 1 or taps > MOST_TAPS:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    sides = _padding(padding, weight, pair(dilation))
    return _convolve(input, weight, bias, pair(stride), sides, pair(dilation))


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """Compute ``F.conv1d``, likewise, as the convolution of pictures one pixel high."""
    if not under_vmap(weight) or input.dim() != 3 or groups != 1 or weight.shape[-1] > MOST_TAPS:
        return F.conv1d(input, weight, bias, stride, padding, dilation, groups)
    step, spread = (1, pair(stride)[0]), (1, pair(dilation)[0])
    left, right = _padding(padding, weight.unsqueeze(-2), spread)[2:]
    sides = (0, 0, left, right)
    return _convolve(input.unsqueeze(-2), weight.unsqueeze(-2), bias, step, sides, spread).squeeze(
        -2
    )


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    sides: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> Tensor:
    filters, _, *size = weight.shape
    top, bottom, left, right = sides
    # Pixels in front of channels: the products find and leave them so, and nothing is transposed.
    pixels = F.pad(x.movedim(1, -1), (0, 0, left, right, top, bottom))
    examples, *padded, _ = pixels.shape
    height, width = (
        (p - d * (k - 1) - 1) // s + 1
        for p, d, k, s in zip(padded, dilation, size, stride, strict=True)
    )
    columns = _Unfold.apply(pixels, tuple(size), stride, dilation)
    kernel = weight.permute(2, 3, 1, 0).reshape(-1, filters)
    pieces = _pieces(weight, examples * height * width, *kernel.shape)
    # A piece of the rows at a time, since a weight's gradient is a sum over all of them.
    rows = columns.reshape(pieces, -1, kernel.shape[0])
    result = torch.bmm(rows, kernel.expand(pieces, *kernel.shape))
    result = result.view(examples, height, width, filters)
    return (result if bias is None else result + bias).movedim(-1, 1)


class _Unfold(torch.autograd.Function):
    """``[examples, height, width, channels]`` to ``[examples, h, w, taps * channels]``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, size: Any, stride: Any, dilation: Any) -> Tensor:
        # Views, so that all taps are copied by one kernel.
        for dim, taps, step, spread in zip((1, 2), size, stride, dilation, strict=True):
            x = x.unfold(dim, spread * (taps - 1) + 1, step)[..., ::spread]
        return x.permute(0, 1, 2, 4, 5, 3).flatten(3)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, _: Tensor) -> None:
        x, *ctx.geometry = inputs
        ctx.shape = x.shape

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return _Fold.apply(g, ctx.shape, *ctx.geometry), None, None, None


class _Fold(torch.autograd.Function):
    """The transpose of `_Unfold`: the sum of all taps, each where it was taken from."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, shape: Any, size: Any, stride: Any, dilation: Any) -> Tensor:
        total: Any = 0
        places = _places(shape, size, stride, dilation)
        for tap, ((i, j), (h, w), (s, t)) in zip(g.split(shape[-1], -1), places, strict=True):
            middle = (*g.shape[:2], shape[2], shape[3])
            rows = _aten.slice_backward(tap, middle, 2, j, j + (w - 1) * t + 1, t)
            total = total + _aten.slice_backward(rows, shape, 1, i, i + (h - 1) * s + 1, s)
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, _: Tensor) -> None:
        _, _, *ctx.geometry = inputs

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        return _Unfold.apply(v, *ctx.geometry), None, None, None, None


def _places(shape: Any, size: Any, stride: Any, dilation: Any) -> list[Any]:
    """Where each tap begins, and how many pixels it is taken from, in what steps."""
    numbers = tuple(
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(shape[1:3], size, stride, dilation, strict=True)
    )
    offsets = product(range(size[0]), range(size[1]))
    return [((i * dilation[0], j * dilation[1]), numbers, stride) for i, j in offsets]


def _pieces(weight: Tensor, rows: int, columns: int, filters: int) -> int:
    """Into how many parts of the same size the rows of a task are cut."""
    while is_batchedtensor(weight):
        tasks, weight = len(get_unwrapped(weight)), get_unwrapped(weight)
    blocks = tasks * ceil(columns / 128) * ceil(filters / 64)
    wanted = max(ceil(BLOCKS / blocks), ceil(rows / LONGEST_SUM))
    fitting = [n for n in range(1, rows // SHORTEST_SUM + 1) if rows % n == 0]
    return next((n for n in fitting if n >= wanted), fitting[-1] if fitting else 1)


def _padding(
    padding: IntOrPair | str, weight: Tensor, dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Pixels of zeros on top, at the bottom, left and right."""
    if padding == "valid":
        return 0, 0, 0, 0
    if isinstance(padding, str):
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[-2:], strict=True)]
        before = [t // 2 for t in total]
        return before[0], total[0] - before[0], before[1], total[1] - before[1]
    high, wide = pair(padding)
    return high, high, wide, wide
