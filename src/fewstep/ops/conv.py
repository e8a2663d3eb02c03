"""Convolution of which each derivative is a convolution again.

With C(x, w) for the convolution, the gradients of a cotangent g are I(g, w) for the input and
W(g, x) for the weight. All three are linear in both arguments, and the derivatives of each are
given by the other two, so no chain of derivatives ever leaves these three operations.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fewstep.ops.layout import IntOrPair, as_output, channels_last, pair
from fewstep.ops.vmap import can_be_summed, is_shared, loop_over_tasks, with_task_dim

_aten = torch.ops.aten


class Geometry(NamedTuple):
    """Settings of a convolution, each for height and width."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Those of PyTorch's convolution, which may also be transposed."""
        return self.stride, self.padding, self.dilation, False, (0, 0), self.groups


def geometry_of(
    stride: IntOrPair = 1, padding: IntOrPair | str = 0, dilation: IntOrPair = 1, groups: int = 1
) -> Geometry | None:
    """Make a geometry of the arguments of ``F.conv2d``; None where the padding is a word."""
    if isinstance(padding, str):
        return None
    return Geometry(pair(stride), pair(padding), pair(dilation), groups)


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """Compute ``F.conv2d``."""

    def apply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _Convolution.apply(channels_last(x), weight, bias, geometry)

    return with_task_dim(apply, x, weight, bias)


class _Convolution(torch.autograd.Function):
    """C(x, w) + b."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.bias = geometry, bias is not None
        return as_output(convolve(x, weight, bias, geometry))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        g = channels_last(g)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _InputGradient.apply(g, x, weight, ctx.geometry)
        if any(ctx.needs_input_grad[1:3]):
            of_weight, of_bias = _WeightGradient.apply(g, x, weight, ctx.bias, ctx.geometry)
        return of_x, of_weight, of_bias, None


class _InputGradient(torch.autograd.Function):
    """I(g, w); of ``x`` only the shape matters."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(g, weight)
        ctx.geometry = geometry
        return input_gradient(g, x, weight, geometry)

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
        return weight_gradient(g, x, weight, bias, geometry)

    @staticmethod
    def backward(ctx: Any, v: Tensor, of_bias: Tensor | None) -> Any:
        g, x = ctx.saved_tensors
        of_g, of_x, *_ = ctx.needs_input_grad
        return (
            _Convolution.apply(x, v, of_bias, ctx.geometry) if of_g else None,
            _InputGradient.apply(g, x, v, ctx.geometry) if of_x else None,
            *(None, None, None),
        )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """Compute C(x, w) + b, of one task or of many, without a graph."""
    if x.dim() == 4:
        return torch.convolution(channels_last(x), weight, bias, *geometry.arguments)
    if is_shared(weight) and (bias is None or is_shared(bias)):
        one = convolve(x.flatten(0, 1), weight[0], None if bias is None else bias[0], geometry)
        return one.view(*x.shape[:2], *one.shape[1:])
    return loop_over_tasks(convolve, x, weight, bias, geometry=geometry)


def input_gradient(g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Compute I(g, w), likewise; of ``x`` only the shape matters."""
    if g.dim() == 4:
        return _gradients(g, x, weight, (True, False, False), geometry)[0]
    if is_shared(weight):
        one = input_gradient(g.flatten(0, 1), x.flatten(0, 1), weight[0], geometry)
        return one.view(x.shape)
    return loop_over_tasks(input_gradient, g, x, weight, geometry=geometry)


def weight_gradient(
    g: Tensor, x: Tensor, weight: Tensor, bias: bool, geometry: Geometry
) -> tuple[Tensor, Tensor | None]:
    """Compute W(g, x), and the sum of g where there is a bias, likewise."""
    if g.dim() == 4:
        _, of_weight, of_bias = _gradients(g, x, weight, (False, True, bias), geometry)
        return of_weight, of_bias if bias else None
    if can_be_summed(weight):
        total, _ = weight_gradient(g.flatten(0, 1), x.flatten(0, 1), weight[0], False, geometry)
        mean = (total / len(g)).expand(len(g), *total.shape)
        return mean, g.sum((1, 3, 4)) if bias else None
    return loop_over_tasks(weight_gradient, g, x, weight, bias=bias, geometry=geometry)


def _gradients(
    g: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool], geometry: Geometry
) -> tuple[Tensor, Tensor, Tensor]:
    arguments = (weight.shape[:1], *geometry.arguments, wanted)
    return _aten.convolution_backward(channels_last(g), channels_last(x), weight, *arguments)
