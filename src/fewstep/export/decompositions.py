"""Gradients of layers as ordinary operations, which any runtime has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.nn.attention import SDPBackend, sdpa_kernel

from fewstep.ops.written_out import layers_written_out
from fewstep.runtime.modes import setting_of

_aten = torch.ops.aten


# A runtime pools and finds the places at once; of the others, fewstep's own have operations that
# no file has.
_LEFT_ALONE: set[Callable[..., Any]] = {
    *(torch.max_pool2d, F.max_pool2d, torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu),
    *(F.scaled_dot_product_attention, F.multi_head_attention_forward),
}


@contextmanager
def layers_for_files() -> Iterator[None]:
    """Have models called inside compute in operations that a file has."""
    recurrence = setting_of((torch.backends.mkldnn,), "enabled", False)
    attention: Any = sdpa_kernel(SDPBackend.MATH)
    with layers_written_out(but=_LEFT_ALONE), recurrence, attention:
        yield


def convolution_backward(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: object,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    """Compute ``aten.convolution_backward``: each gradient of a convolution is a convolution.

    That of the input is the transposed one. That of the weight is one of pictures and cotangent
    with examples and channels in each other's place, and stride and dilation too.
    """
    dims = range(weight.dim() - 2)
    none = [0 for _ in dims]
    of_x = of_weight = of_bias = None
    if wanted[0]:
        rest = none
        if not transposed:
            spread = [dilation[i] * (weight.shape[2 + i] - 1) - 2 * padding[i] for i in dims]
            reached = [(g.shape[2 + i] - 1) * stride[i] + spread[i] + 1 for i in dims]
            rest = [x.shape[2 + i] - reached[i] for i in dims]
        of_x = _aten.convolution(
            g, weight, None, stride, padding, dilation, not transposed, rest, groups
        )
    if wanted[1]:
        pictures, kernel = (g, x) if transposed else (x, g)
        of_weight = _weight_gradient(pictures, kernel, weight, stride, padding, dilation, groups)
    if wanted[2]:
        of_bias = g.sum([0, *(2 + i for i in dims)])
    return of_x, of_weight, of_bias


def _weight_gradient(
    x: Tensor,
    g: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    dims = range(weight.dim() - 2)
    turned = g.transpose(0, 1)
    if groups == 1:
        pictures = x.transpose(0, 1)
    else:
        # Each group is a picture's channels of its own: [inputs, groups * examples, ...].
        apart = x.unflatten(1, (groups, -1))
        pictures = apart.movedim(2, 0).movedim(2, 1).flatten(1, 2)
    none = [0 for _ in dims]
    found: Tensor = _aten.convolution(
        pictures, turned, None, dilation, padding, stride, False, none, groups
    )
    found = found.transpose(0, 1)
    # What the stride left over gives further taps, which are none.
    for i in dims:
        found = found.narrow(2 + i, 0, weight.shape[2 + i])
    return found


def max_pool2d_backward(
    g: Tensor,
    x: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    """Compute ``aten.max_pool2d_with_indices_backward``."""
    pixels = prod(x.shape[-2:])
    zeros = x.new_zeros((*x.shape[:-2], pixels))
    found = zeros.scatter_add(-1, indices.flatten(-2), g.flatten(-2))
    return found.view(x.shape)


def avg_pool2d_backward(
    g: Tensor,
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """Compute ``aten.avg_pool2d_backward`` where all windows are whole; else `NotImplemented`."""
    if ceil_mode or (any(padding) and not count_include_pad):
        return NotImplemented
    stride = stride or kernel_size
    channels = x.shape[-3]
    share = 1 / (divisor_override or prod(kernel_size))
    weight = torch.full((channels, 1, *kernel_size), share, dtype=g.dtype, device=g.device)
    reached = [(g.shape[i - 2] - 1) * stride[i] + kernel_size[i] - 2 * padding[i] for i in range(2)]
    rest = [x.shape[i - 2] - reached[i] for i in range(2)]
    found: Tensor = _aten.convolution(
        g, weight, None, stride, padding, [1, 1], True, rest, channels
    )
    return found


_KEPT = {
    # They have an operator of their own in a file, or are parts of tensors.
    *(_aten.slice_backward, _aten.select_backward, _aten.split, _aten.split_with_sizes),
    *(_aten.unsafe_split, _aten.unsafe_split_with_sizes, _aten.unsafe_chunk),
}


def adaptive_avg_pool2d(x: Tensor, output_size: Sequence[int]) -> Tensor:
    """Compute ``aten._adaptive_avg_pool2d`` where windows are all alike; else `NotImplemented`."""
    pairs = list(zip(x.shape[-2:], output_size, strict=True))
    if any(size % wanted for size, wanted in pairs):
        return NotImplemented
    (high, wide) = (size // wanted for size, wanted in pairs)
    tiles = x.reshape(*x.shape[:-2], output_size[0], high, output_size[1], wide)
    return tiles.mean((-3, -1))


def adaptive_avg_pool2d_backward(g: Tensor, x: Tensor) -> Tensor:
    """Compute its gradient, likewise."""
    pairs = list(zip(x.shape[-2:], g.shape[-2:], strict=True))
    if any(size % found for size, found in pairs):
        return NotImplemented
    (high, wide) = (size // found for size, found in pairs)
    shares = (g / (high * wide))[..., :, None, :, None]
    return shares.expand(*g.shape[:-1], high, g.shape[-1], wide).reshape(x.shape)


def _one_by_one(operation: Callable[[Tensor, Any], Tensor]) -> Callable[..., list[Tensor]]:
    """An operation on lists of tensors as one on each."""

    def compute(tensors: Sequence[Tensor], others: Any) -> list[Tensor]:
        if not isinstance(others, list | tuple):
            others = [others] * len(tensors)
        return [operation(one, other) for one, other in zip(tensors, others, strict=True)]

    return compute


_mul, _sub = _one_by_one(torch.mul), _one_by_one(torch.sub)

TABLE: dict[Any, Callable[..., Any]] = {
    **{
        target: function
        for target, function in core_aten_decompositions().items()
        if getattr(target, "overloadpacket", None) not in _KEPT
    },
    _aten.convolution_backward.default: convolution_backward,
    _aten.max_pool2d_with_indices_backward.default: max_pool2d_backward,
    _aten.avg_pool2d_backward.default: avg_pool2d_backward,
    _aten._adaptive_avg_pool2d.default: adaptive_avg_pool2d,
    _aten._adaptive_avg_pool2d_backward.default: adaptive_avg_pool2d_backward,
    **dict.fromkeys((_aten._foreach_mul.Scalar, _aten._foreach_mul.List), _mul),
    **dict.fromkeys((_aten._foreach_sub.Scalar, _aten._foreach_sub.List), _sub),
}
"""The parts that operations are taken to while a function is traced."""
