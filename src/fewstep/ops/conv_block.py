"""A convolution and the `Block` after it as one operation that can be differentiated twice.

It computes what the two would one after the other, in fewer and larger steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fewstep.ops.block import Block, BlockState, Steps, result_of
from fewstep.ops.conv import Geometry, convolve, input_gradient, weight_gradient
from fewstep.ops.layout import channels_last


class ConvBlock(NamedTuple):
    """What is done.

    Attributes:
        geometry: Of the convolution. It has no bias, which batch norm would subtract again.
        block: What comes after.
        steps: Who does the arithmetic of the block.
    """

    geometry: Geometry
    block: Block
    steps: Steps


def conv_block(x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, how: ConvBlock) -> Tensor:
    """Convolution, batch norm by the statistics of the batch, and what comes after; of one task.

    Args:
        x: ``[examples, channels, height, width]``.
        weight: ``[filters, channels / groups, height, width]``.
        scale: ``[filters]``, of batch norm.
        shift: ``[filters]``, of batch norm.
        how: What is done.
    """
    y, _ = _ConvBlock.apply(channels_last(x), weight, scale, shift, how)
    return y


class _ConvBlock(torch.autograd.Function):
    """Returns what the convolution made, too: the gradient depends on it, and is differentiated."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, how: ConvBlock
    ) -> tuple[Tensor, Tensor]:
        made = convolve(x, weight, None, how.geometry)
        y, state = how.steps.forward(made, scale, shift, how.block)
        ctx.save_for_backward(x, weight, *state)
        ctx.how = how
        ctx.set_materialize_grads(False)
        return result_of(y, how.block), made

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, of_made: Tensor | None) -> Any:
        x, weight, *state = ctx.saved_tensors
        g = torch.zeros_like(state[-1]) if g is None else channels_last(g)
        wanted = ctx.needs_input_grad[:2]
        return *_Gradient.apply(g, of_made, x, weight, *state, ctx.how, wanted), None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, g: Tensor, of_made: Tensor | None, x: Tensor, weight: Tensor, *others: Any
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
        *tensors, how, wanted = others
        state = BlockState(*tensors)
        dc, of_scale, of_shift, gs = how.steps.gradient(g, state, how.block)
        if of_made is not None:
            dc += of_made
        of_x = input_gradient(dc, x, weight, how.geometry) if wanted[0] else None
        of_weight = weight_gradient(dc, x, weight, False, how.geometry)[0] if wanted[1] else None
        ctx.save_for_backward(dc, gs, of_scale, of_shift, x, weight, *state)
        ctx.how = how
        ctx.set_materialize_grads(False)
        return of_x, of_weight, of_scale, of_shift

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, ux: Tensor | None, uw: Tensor | None, us: Tensor | None, ub: Tensor | None
    ) -> Any:
        dc, gs, of_scale, of_shift, x, weight, *tensors = ctx.saved_tensors
        how, state = ctx.how, BlockState(*tensors)
        u = torch.zeros_like(dc) if uw is None else convolve(x, uw, None, how.geometry)
        if ux is not None:
            u += convolve(ux, weight, None, how.geometry)
        cotangents = (u, *(torch.zeros_like(of_shift) if v is None else v for v in (us, ub)))
        of_g, of_made, of_scale = how.steps.second(
            cotangents, gs, (of_scale, of_shift), state, how.block
        )
        of_x = of_weight = None
        if uw is not None and ctx.needs_input_grad[2]:
            of_x = input_gradient(dc, x, uw, how.geometry)
        if ux is not None and ctx.needs_input_grad[3]:
            of_weight, _ = weight_gradient(dc, ux, weight, False, how.geometry)
        given = u if ctx.needs_input_grad[1] else None
        return of_g, given, of_x, of_weight, of_made, of_scale, *(None,) * 7
