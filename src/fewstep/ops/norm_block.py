"""A `Block` as one operation that can be differentiated twice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fewstep.ops.block import Block, BlockState, Steps, result_of
from fewstep.ops.block_eager import EAGER
from fewstep.ops.layout import channels_last
from fewstep.ops.vmap import under_vmap, with_task_dim


def norm_block(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, block: Block, steps: Steps = EAGER
) -> Tensor:
    """Batch norm by the statistics of ``x`` alone, and what comes after it.

    Args:
        x: ``[examples, channels, height, width]``.
        weight: ``[channels]``; None for ones.
        bias: ``[channels]``; None for zeros.
        block: What comes after.
        steps: Who does the arithmetic; not under vmap.
    """
    channels = x.shape[1]
    weight = x.new_ones(channels) if weight is None else weight
    bias = x.new_zeros(channels) if bias is None else bias

    def apply(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return _NormBlock.apply(channels_last(x), weight, bias, block, EAGER)

    if under_vmap(x, weight, bias):
        return with_task_dim(apply, x, weight, bias)
    return _NormBlock.apply(channels_last(x), weight, bias, block, steps)


class _NormBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, block: Block, steps: Steps
    ) -> Tensor:
        y, state = steps.forward(x, weight, bias, block)
        ctx.save_for_backward(*state)
        ctx.how = block, steps
        return result_of(y, block)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return *_Gradient.apply(channels_last(g), *ctx.saved_tensors, *ctx.how), None, None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
        *tensors, block, steps = others
        state = BlockState(*tensors)
        dx, dw, db, gs = steps.gradient(g, state, block)
        ctx.save_for_backward(gs, dw, db, *state)
        ctx.how = block, steps
        return dx, dw, db

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor, uw: Tensor, ub: Tensor) -> Any:
        gs, dw, db, *tensors = ctx.saved_tensors
        block, steps = ctx.how
        cotangents = (channels_last(u), uw, ub)
        of_g, of_x, of_weight = steps.second(cotangents, gs, (dw, db), BlockState(*tensors), block)
        return of_g, of_x, of_weight, *(None,) * 7
