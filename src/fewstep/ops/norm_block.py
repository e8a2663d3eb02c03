"""A `Block` as one operation that can be differentiated twice."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fewstep.ops.block import Block, BlockState, forward, gradient, second_gradient
from fewstep.ops.layout import as_output, channels_last
from fewstep.ops.vmap import with_task_dim


def norm_block(x: Tensor, weight: Tensor | None, bias: Tensor | None, block: Block) -> Tensor:
    """Compute batch norm by the statistics of ``x`` alone, and what comes after it."""
    channels = x.shape[1]
    weight = x.new_ones(channels) if weight is None else weight
    bias = x.new_zeros(channels) if bias is None else bias

    def apply(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return _NormBlock.apply(channels_last(x), weight, bias, block)

    return with_task_dim(apply, x, weight, bias)


class _NormBlock(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, block: Block) -> Tensor:
        y, state = forward(x, weight, bias, block)
        ctx.save_for_backward(*state)
        ctx.block = block
        # y is kept for the way back. PyTorch would keep what ReLU made before the pooling, so a
        # layer that comes after may change the result in place.
        return y.clone() if block.relu and block.window is not None else as_output(y)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return *_Gradient.apply(channels_last(g), ctx.block, *ctx.saved_tensors), None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, g: Tensor, block: Block, *tensors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        state = BlockState(*tensors)
        dx, dw, db, gs = gradient(g, state, block)
        ctx.save_for_backward(gs, dw, db, *state)
        ctx.block = block
        return dx, dw, db

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor, uw: Tensor, ub: Tensor) -> Any:
        gs, dw, db, *tensors = ctx.saved_tensors
        cotangents = (channels_last(u), uw, ub)
        of_g, of_x, of_weight = second_gradient(
            cotangents, gs, (dw, db), BlockState(*tensors), ctx.block
        )
        return of_g, None, of_x, of_weight, *(None,) * 5
