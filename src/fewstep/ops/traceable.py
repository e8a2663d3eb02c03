"""Layers and products written so that a compiler makes fast code of them.

A compiler's kernels read and write boolean masks one by one, so none are used here: a mask is a
number, made by a sign.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep.ops.layout import channels_last
from fewstep.ops.max_pool import window_of


def conv2d(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Compute ``F.conv2d`` in channels-last layout."""
    return F.conv2d(channels_last(input) if input.dim() == 4 else input, *args, **kwargs)


def max_pool2d(input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Compute ``F.max_pool2d``; windows of 2x2 in operations that can be fused."""
    simple = window_of(*args, **kwargs) == ((2, 2), (2, 2), (0, 0), (1, 1), False)
    if simple and input.dim() == 4:
        return _largest_of_four(input)
    return F.max_pool2d(input, *args, **kwargs)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Compute ``F.relu``, with the sign of its result in the place of a comparison."""
    if inplace:
        return F.relu_(input)
    result: Tensor = _Relu.apply(input)
    return result


class LongSideLast(TorchDispatchMode):
    """Computes a batch of products A B as the transpose of B^T A^T where a CPU does that faster.

    The numbers are the same. Meant for what a compiler traces: each product costs a call more.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bmm.default and _turned(*args):
            first, second = args
            return func(second.mT, first.mT).mT
        return func(*args, **(kwargs or {}))


def _turned(first: Tensor, second: Tensor) -> bool:
    rows, columns = first.shape[1], second.shape[2]
    if first.device.type != "cpu" or rows < columns:
        return False
    # Rows of the result are computed in vectors: 40x10 takes four to seven times as long as 10x40.
    # Of a square, the gradient of a linear layer's weight is what autograd transposes afterwards.
    return rows > columns or first.mT.is_contiguous()


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
    """2x2 max-pooling, whose derivative is a product with a mask that counts as a constant."""
    examples, channels, height, width = (*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2)
    # Pixels in front of channels, as they lie in memory.
    pixels = x.movedim(1, -1)[:, : 2 * height, : 2 * width]
    four = pixels.reshape(examples, height, 2, width, 2, channels)
    corners = [four[:, :, row, :, column] for row in (0, 1) for column in (0, 1)]
    result: Tensor = _Largest.apply(*corners)
    return result.movedim(-1, 1)


class _Largest(torch.autograd.Function):
    # A product with masks would be NaN where a value is infinite: 0 times infinity.
    generate_vmap_rule = True

    @staticmethod
    def forward(*values: Tensor) -> Tensor:
        return reduce(torch.maximum, values)

    @staticmethod
    def setup_context(ctx: Any, values: tuple[Tensor, ...], _: Tensor) -> None:
        ctx.save_for_backward(*values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        masks = _first_largest([value.detach() for value in ctx.saved_tensors])
        return tuple(grad * mask for mask in masks)


def _first_largest(values: Sequence[Tensor]) -> list[Tensor]:
    """One where a tensor holds the largest of the values there, the first such; zero elsewhere."""
    largest = reduce(torch.maximum, values)
    left = torch.ones_like(largest)
    masks = []
    for value in values:
        masks.append(left * (1 - (largest - value).sign()))
        left = left - masks[-1]
    return masks
