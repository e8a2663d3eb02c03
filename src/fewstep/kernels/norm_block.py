"""Batch norm, with or without ReLU and max-pooling after it, as one operation.

For each channel, over the n numbers x of it: h = (x - mean) r with r = 1 / sqrt(var + eps), and
y = relu(pool(w h + b)). Batch norm and ReLU are monotone in each channel, so max-pooling may come
first: it selects some of the x, and all that follows is done for those alone.

A cotangent of y, without what ReLU stopped, is a cotangent gs of the selected w h + b. With
g = gs where x was selected and 0 elsewhere, the gradients are

    dx = w r (g - sum(g) / n - h sum(g h) / n),    dw = sum(g h),    db = sum(g).

`_Gradient.backward` is the derivative of u . dx + uw dw + ub db with respect to gs, x and w. Both
are sums of multiples of g, u and x by a number a channel, so each takes few passes over memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fewstep.kernels.layout import channels_last, pictures, rows
from fewstep.kernels.pooling import Window, gather, largest, scatter
from fewstep.kernels.tasks import each_task, under_vmap, with_all_tasks

_aten = torch.ops.aten


class Block(NamedTuple):
    """What is done after the normalisation.

    Attributes:
        eps: Added to the variance.
        relu: Whether negative numbers become zero.
        window: Of the max-pooling, or None for none.
    """

    eps: float
    relu: bool = False
    window: Window | None = None


def norm_block(x: Tensor, weight: Tensor | None, bias: Tensor | None, block: Block) -> Tensor:
    """Batch norm by the statistics of ``x`` alone, and what comes after it.

    Args:
        x: ``[examples, channels, height, width]``.
        weight: ``[channels]``; None for ones.
        bias: ``[channels]``; None for zeros.
        block: What comes after.
    """
    channels = x.shape[1]
    weight = x.new_ones(channels) if weight is None else weight
    bias = x.new_zeros(channels) if bias is None else bias

    def apply(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return _NormBlock.apply(channels_last(x), weight, bias, block)

    if under_vmap(x, weight, bias):
        return with_all_tasks(apply, x, weight, bias)
    return apply(x, weight, bias)


class _NormBlock(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, block: Block) -> Tensor:
        mean, r = _statistics(x, block.eps)
        selected, where = (x, None) if block.window is None else _select(x, weight, block.window)
        wr = weight * r
        y = _affine(selected, wr, bias - wr * mean)
        if block.relu:
            y.relu_()
        ctx.save_for_backward(x, weight, mean, r, selected, where, y if block.relu else None)
        ctx.block = block
        # Not a view, which a layer that comes after could not change in place.
        return y.detach()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return *_Gradient.apply(channels_last(g), *ctx.saved_tensors, ctx.block.window), None


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        r: Tensor,
        selected: Tensor,
        where: Tensor | None,
        y: Tensor | None,
        window: Window | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        gs = g if y is None else _aten.threshold_backward(g, y, 0)
        sum_gh, sum_g = _sums(gs, selected, mean, r)
        wr, n = weight * r, _count(x)
        of_x = -wr * r * sum_gh / n
        dx = _affine(x, of_x, -wr * sum_g / n - of_x * mean)
        _add_selected(dx, gs, wr, where, window)
        ctx.save_for_backward(gs, x, weight, mean, r, selected, where, y, sum_gh, sum_g)
        ctx.window = window
        return dx, sum_gh, sum_g

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor, uw: Tensor, ub: Tensor) -> Any:
        gs, x, weight, mean, r, selected, where, y, sum_gh, sum_g = ctx.saved_tensors
        u = channels_last(u)
        us = u if where is None else gather(u, where)
        sum_uh, sum_u = _sums(u, x, mean, r)
        sum_ug = rows(us * gs).sum(-2)
        wr, n = weight * r, _count(x)
        k = uw - wr * sum_uh / n
        a = -wr * sum_gh / n
        inner = sum_ug - (sum_u * sum_g + sum_uh * sum_gh) / n
        of_h = -r * (a * sum_uh + k * sum_gh + wr * inner) / n

        of_g = _affine(selected, k * r, ub - wr * sum_u / n - k * r * mean)
        rows(of_g).addcmul_(rows(us), wr.unsqueeze(-2))
        if y is not None:
            of_g = _aten.threshold_backward(of_g, y, 0)

        of_x = _affine(x, of_h * r, -r * ((a * sum_u + k * sum_g) / n + of_h * mean))
        rows(of_x).addcmul_(rows(u), (r * a).unsqueeze(-2))
        _add_selected(of_x, gs, r * k, where, ctx.window)
        return of_g, of_x, r * inner, *(None,) * 6


def _statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and 1 / sqrt(variance + eps) of each channel."""
    if x.dim() == 5:
        return each_task(_statistics, x, eps=eps)
    mean, variance = _aten.batch_norm_update_stats(x, None, None, 0.0)
    return mean, (variance + eps).rsqrt_()


def _select(x: Tensor, weight: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """The x that have the largest w x of each window, and where they are."""
    if weight.min().item() > 0:
        return largest(x, window)
    sign = weight.sign()[..., None, :, None, None]
    _, where = largest(x * sign, window)
    return gather(x, where), where


def _sums(u: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Of u (x - mean) r and of u, for each channel."""
    if u.dim() == 5:
        return each_task(_sums, u, x, mean, r)
    # PyTorch's kernel for batch norm's gradient has both sums, in one pass.
    _, products, plain = _aten.native_batch_norm_backward(
        u, x, None, None, None, mean, r, True, 0.0, (False, True, True)
    )
    return products, plain


def _affine(x: Tensor, factor: Tensor, constant: Tensor) -> Tensor:
    """Factor times x plus constant, with one number a channel each."""
    return pictures(torch.addcmul(constant.unsqueeze(-2), rows(x), factor.unsqueeze(-2)), x)


def _add_selected(
    x: Tensor, gs: Tensor, factor: Tensor, where: Tensor | None, window: Window | None
) -> None:
    """Add factor gs to the x that were selected, in place."""
    if where is None or window is None:
        rows(x).addcmul_(rows(gs), factor.unsqueeze(-2))
    else:
        scaled = pictures(rows(gs) * factor.unsqueeze(-2), gs)
        x += scatter(scaled, x, where, window)


def _count(x: Tensor) -> int:
    """How many numbers a channel of one task has."""
    examples, _, height, width = x.shape[-4:]
    return examples * height * width
