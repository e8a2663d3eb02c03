"""The same layers written so that a compiler can fuse them with what surrounds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.ops.layout import IntOrPair, channels_last
from fewstep.ops.max_pool import window_of
from fewstep.ops.relu import RELU


def elementary_batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Batch norm by the statistics of ``x`` alone."""
    other = [dim for dim in range(x.dim()) if dim != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    centred = x - x.mean(other, keepdim=True)
    result = centred * (centred.square().mean(other, keepdim=True) + eps).rsqrt()
    if weight is not None:
        result = result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def _conv2d(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return F.conv2d(channels_last(x) if x.dim() == 4 else x, *args, **kwargs)


def _max_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    window = window_of(kernel_size, stride, padding, dilation, ceil_mode)
    simple = window == ((2, 2), (2, 2), (0, 0), (1, 1), False)
    if return_indices or not simple or x.dim() != 4:
        settings = (kernel_size, stride, padding, dilation, ceil_mode)
        return F.max_pool2d(x, *settings, return_indices)  # type: ignore[call-overload]
    return _largest_of_four(x)


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
        # Not by comparison: the compiler reads and writes boolean masks one by one.
        masks.append(left * (1 - (largest - value).sign()))
        left = left - masks[-1]
    return masks


REPLACEMENTS: dict[Callable[..., Any], Callable[..., Any]] = {
    **RELU,
    torch.conv2d: _conv2d,
    torch.max_pool2d: _max_pool2d,
    F.max_pool2d: _max_pool2d,
}
"""Each takes the arguments of what it replaces."""
