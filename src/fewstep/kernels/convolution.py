"""Convolution of which each derivative is a convolution again.

With C(x, w) for the convolution, the gradients of a cotangent g are I(g, w) for the input and
W(g, x) for the weight. All three are linear in both arguments, and the derivatives of each are
given by the other two, so no chain of derivatives ever leaves these three operations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fewstep.kernels.layout import channels_last
from fewstep.kernels.tasks import each_task, under_vmap, with_all_tasks

_aten = torch.ops.aten


class Geometry(NamedTuple):
    """Of a convolution, each for height and width."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """``F.conv2d``.

    Args:
        x: ``[examples, channels, height, width]``.
        weight: ``[filters, channels / groups, height, width]``.
        bias: ``[filters]``.
        geometry: Stride, padding, dilation, groups.
    """

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _Convolution.apply(channels_last(x), weight, bias, geometry)

    if under_vmap(x, weight, bias):
        return with_all_tasks(convolve, x, weight, bias)
    return convolve(x, weight, bias)


class _Convolution(torch.autograd.Function):
    """C(x, w) + b."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.bias = geometry, bias is not None
        return _convolve(x, weight, bias, geometry)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        g = channels_last(g)
        of_input, of_weight = ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:3])
        input_gradient = _InputGradient.apply(g, x, weight, ctx.geometry) if of_input else None
        weight_gradient, bias_gradient = (
            _WeightGradient.apply(g, x, weight, ctx.bias, ctx.geometry)
            if of_weight
            else (None, None)
        )
        return input_gradient, weight_gradient, bias_gradient if ctx.bias else None, None


class _InputGradient(torch.autograd.Function):
    """I(g, w); of ``x`` only the shape matters."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.geometry = geometry
        return _input_gradient(g, x, weight, geometry)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        g, weight = ctx.saved_tensors
        v = channels_last(v)
        of_g, _, of_weight, _ = ctx.needs_input_grad
        return (
            _Convolution.apply(v, weight, None, ctx.geometry) if of_g else None,
            None,
            _WeightGradient.apply(g, v, weight, False, ctx.geometry)[0] if of_weight else None,
            None,
        )


class _WeightGradient(torch.autograd.Function):
    """W(g, x), and the sum of g for the bias; of ``weight`` only the shape matters."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, weight: Tensor, bias: bool, geometry: Geometry
    ) -> tuple[Tensor, Tensor | None]:
        ctx.save_for_backward(g, x)
        ctx.geometry = geometry
        return _weight_gradient(g, x, weight, bias, geometry)

    @staticmethod
    def backward(ctx: Any, v: Tensor, of_bias: Tensor | None) -> Any:
        g, x = ctx.saved_tensors
        of_g, of_x, *_ = ctx.needs_input_grad
        return (
            _Convolution.apply(x, v, of_bias, ctx.geometry) if of_g else None,
            _InputGradient.apply(g, x, v, ctx.geometry) if of_x else None,
            *(None, None, None),
        )


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    if x.dim() == 4:
        return torch.convolution(channels_last(x), weight, bias, *_arguments(geometry))
    if _shared(weight) and (bias is None or _shared(bias)):
        one = _convolve(x.flatten(0, 1), weight[0], None if bias is None else bias[0], geometry)
        return one.view(*x.shape[:2], *one.shape[1:])
    return each_task(_convolve, x, weight, bias, geometry=geometry)


def _input_gradient(g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    if g.dim() == 4:
        return _gradients(g, x, weight, (True, False, False), geometry)[0]
    if _shared(weight):
        one = _input_gradient(g.flatten(0, 1), x.flatten(0, 1), weight[0], geometry)
        return one.view(x.shape)
    return each_task(_input_gradient, g, x, weight, geometry=geometry)


def _weight_gradient(
    g: Tensor, x: Tensor, weight: Tensor, bias: bool, geometry: Geometry
) -> tuple[Tensor, Tensor | None]:
    if g.dim() == 4:
        _, of_weight, of_bias = _gradients(g, x, weight, (False, True, bias), geometry)
        return of_weight, of_bias if bias else None
    return each_task(_weight_gradient, g, x, weight, bias=bias, geometry=geometry)


def _gradients(
    g: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool], geometry: Geometry
) -> tuple[Tensor, Tensor, Tensor]:
    arguments = (weight.shape[:1], *_arguments(geometry), wanted)
    return _aten.convolution_backward(channels_last(g), channels_last(x), weight, *arguments)


def _arguments(geometry: Geometry) -> tuple[Any, ...]:
    """As PyTorch's convolution takes them, which may also be transposed."""
    stride, padding, dilation, groups = geometry
    return stride, padding, dilation, False, (0, 0), groups


def _shared(value: Tensor) -> bool:
    """Whether all tasks have the same value because it is the same memory."""
    return value.stride(0) == 0
