"""Layers written so that a compiler can fuse them with what surrounds them.

A compiler's kernels read and write boolean masks one by one, so none are used here: a mask is a
number, made by a sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.layout import IntOrPair, channels_last
from fewstep.ops.max_pool import window_of


def conv2d(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Compute ``F.conv2d`` in channels-last layout."""
    return F.conv2d(channels_last(x) if x.dim() == 4 else x, *args, **kwargs)


def max_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Compute ``F.max_pool2d``; windows of 2x2 in operations that can be fused."""
    window = window_of(kernel_size, stride, padding, dilation, ceil_mode)
    simple = window == ((2, 2), (2, 2), (0, 0), (1, 1), False)
    if return_indices or not simple or x.dim() != 4:
        settings = (kernel_size, stride, padding, dilation, ceil_mode)
        return F.max_pool2d(x, *settings, return_indices)  # type: ignore[call-overload]
    return _largest_of_four(x)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Compute ``F.relu``, with the sign of its result in the place of a comparison."""
    if inplace:
        return F.relu_(input)
    result: Tensor = _Relu.apply(input)
    return result


class _Relu(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp_min(0)

    @staticmethod
    def setup_context(ctx: Any, _: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        return grad * output.detach().sign()


def _largest_of_four(x: Tensor) -> Tensor:
    """2x2 max-pooling, as a product with a mask that counts as a constant."""
    examples, channels, height, width = (*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
    # Pixels in front of channels, as they lie in memory.
    pixels = x.movedim(1, -1)[:, : 2 * height, : 2 * width]
    four = pixels.reshape(examples, height, 2, width, 2, channels)
    corners = [four[:, :, row, :, column] for row in (0, 1) for column in (0, 1)]
    with torch.no_grad():
        masks = _first_largest(corners)
    return reduce(torch.add, map(torch.mul, corners, masks)).movedim(-1, 1)


def _first_largest(values: Sequence[Tensor]) -> list[Tensor]:
    """One where a tensor holds the largest of the values there, the first such; zero elsewhere."""
    largest = reduce(torch.maximum, values)
    left = torch.ones_like(largest)
    masks = []
    for value in values:
        masks.append(left * (1 - (largest - value).sign()))
        left = left - masks[-1]
    return masks
