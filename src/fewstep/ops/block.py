"""Batch norm, with or without ReLU and max-pooling after it, as three steps of arithmetic.

For each channel, over the n numbers x of it: h = (x - mean) r with r = 1 / sqrt(var + eps), and
y = relu(pool(w h + b)). Batch norm and ReLU are monotone in each channel, so max-pooling may come
first: it selects some of the x, and all that follows is done for those alone.

A cotangent of y, without what ReLU stopped, is a cotangent gs of the selected w h + b. With
g = gs where x was selected and 0 elsewhere, the gradients are

    dx = w r (g - sum(g) / n - h sum(g h) / n),    dw = sum(g h),    db = sum(g).

The derivative of u . dx + uw dw + ub db with respect to gs, x and w consists, like these, of sums
of multiples of g, u and x by a number a channel, so each takes few passes over memory.

All tensors may have a dimension of tasks in front. No step keeps a graph.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fewstep.ops.layout import pictures, rows
from fewstep.ops.max_pool import Window, gather, largest, scatter
from fewstep.ops.vmap import loop_over_tasks

_aten = torch.ops.aten


class Block(NamedTuple):
    """Settings of batch norm, and of the layers that come after it."""

    eps: float
    relu: bool = False
    window: Window | None = None
    """Of the max-pooling."""


class BlockState(NamedTuple):
    """Tensors that the way forward leaves for the way back."""

    x: Tensor
    weight: Tensor
    mean: Tensor
    r: Tensor
    selected: Tensor
    """The x that the pooling selected; all of them without one."""
    where: Tensor
    """Positions of those."""
    y: Tensor
    """The result where there is ReLU, whose gradient looks at it; else the selected x again, since
    a layer that comes after may change the result in place."""


def forward(x: Tensor, weight: Tensor, bias: Tensor, block: Block) -> tuple[Tensor, BlockState]:
    """Return y, and what is to be kept."""
    mean, r = _statistics(x, block.eps)
    selected, where = (x, x) if block.window is None else _select(x, weight, block.window)
    wr = weight * r
    y = _affine(selected, wr, bias - wr * mean)
    if block.relu:
        y.relu_()
    return y, BlockState(x, weight, mean, r, selected, where, y if block.relu else selected)


def gradient(g: Tensor, state: BlockState, block: Block) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients dx, dw and db of a cotangent of y, and gs."""
    x, weight, mean, r, selected, where, y = state
    n = _count(x)
    gs = _aten.threshold_backward(g, y, 0) if block.relu else g
    sum_gh, sum_g = _sums(gs, selected, mean, r)
    wr = weight * r
    of_x = -wr * r * sum_gh / n
    dx = _affine(x, of_x, -wr * sum_g / n - of_x * mean)
    _add_selected(dx, gs, wr, where, block.window)
    return dx, sum_gh, sum_g, gs


def second_gradient(
    cotangents: tuple[Tensor, Tensor, Tensor],
    gs: Tensor,
    sums: tuple[Tensor, Tensor],
    state: BlockState,
    block: Block,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients for g, x and w of cotangents u, uw and ub of dx, dw and db.

    With k and a for the factors of h in u . dx, that for g is k r (selected x) + w r u + constant,
    and that for x is k r g + a r u + (multiple of x) + constant. ``sums`` are dw and db.
    """
    u, uw, ub = cotangents
    sum_gh, sum_g = sums
    x, weight, mean, r, selected, where, y = state
    n = _count(x)
    us = u if block.window is None else gather(u, where)
    sum_uh, sum_u = _sums(u, x, mean, r)
    sum_ug = rows(us * gs).sum(-2)
    wr = weight * r
    k = uw - wr * sum_uh / n
    a = -wr * sum_gh / n
    inner = sum_ug - (sum_u * sum_g + sum_uh * sum_gh) / n
    of_h = -r * (a * sum_uh + k * sum_gh + wr * inner) / n

    of_g = _affine(selected, k * r, ub - wr * sum_u / n - k * r * mean)
    _add(of_g, us, wr)
    if block.relu:
        of_g = _aten.threshold_backward(of_g, y, 0)

    of_x = _affine(x, of_h * r, -r * ((a * sum_u + k * sum_g) / n + of_h * mean))
    _add(of_x, u, r * a)
    _add_selected(of_x, gs, k * r, where, block.window)
    return of_g, of_x, r * inner


def _statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and 1 / sqrt(variance + eps) of each channel."""
    if x.dim() == 5:
        return loop_over_tasks(_statistics, x, eps=eps)
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
    """Sums of u (x - mean) r and of u, for each channel."""
    if u.dim() == 5:
        return loop_over_tasks(_sums, u, x, mean, r)
    # PyTorch's kernel for batch norm's gradient has both sums, in one pass.
    _, products, plain = _aten.native_batch_norm_backward(
        u, x, None, None, None, mean, r, True, 0.0, (False, True, True)
    )
    return products, plain


def _affine(x: Tensor, factor: Tensor, constant: Tensor) -> Tensor:
    """Factor times x plus constant, with one number a channel each."""
    return pictures(torch.addcmul(constant.unsqueeze(-2), rows(x), factor.unsqueeze(-2)), x)


def _add(total: Tensor, x: Tensor, factor: Tensor) -> None:
    """Add factor times x, in place."""
    rows(total).addcmul_(rows(x), factor.unsqueeze(-2))


def _add_selected(
    total: Tensor, gs: Tensor, factor: Tensor, where: Tensor, window: Window | None
) -> None:
    """Add factor times gs to the numbers that were selected, in place."""
    if window is None:
        _add(total, gs, factor)
    else:
        scaled = pictures(rows(gs) * factor.unsqueeze(-2), gs)
        total += scatter(scaled, total, where, window)


def _count(x: Tensor) -> int:
    """Count the numbers of a channel of one task."""
    examples, _, height, width = x.shape[-4:]
    return examples * height * width
