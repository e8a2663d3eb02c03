"""The steps of a `Block` by PyTorch's own operations, of one task or of many at once."""

from __future__ import annotations

import torch
from torch import Tensor

from fewstep.ops.block import Block, BlockState, Steps, gradient_terms, second_terms
from fewstep.ops.layout import pictures, rows
from fewstep.ops.max_pool import Window, gather, largest, scatter
from fewstep.ops.vmap import loop_over_tasks

_aten = torch.ops.aten


class _Eager:
    def forward(
        self, x: Tensor, weight: Tensor, bias: Tensor, block: Block
    ) -> tuple[Tensor, BlockState]:
        """As `Steps`."""
        mean, r = statistics(x, block.eps)
        selected, where = (x, x) if block.window is None else _select(x, weight, block.window)
        wr = weight * r
        y = _affine(selected, wr, bias - wr * mean)
        if block.relu:
            y.relu_()
        return y, BlockState(x, weight, mean, r, selected, where, y if block.relu else selected)

    def gradient(self, g: Tensor, state: BlockState, block: Block) -> tuple[Tensor, ...]:
        """As `Steps`."""
        x, _, mean, r, selected, where, y = state
        gs = _aten.threshold_backward(g, y, 0) if block.relu else g
        sum_gh, sum_g = _sums(gs, selected, mean, r)
        terms = gradient_terms(state, sum_gh, sum_g, _count(x))
        dx = _affine(x, terms.of_x, terms.constant)
        _add_selected(dx, gs, terms.wr, where, block.window)
        return dx, sum_gh, sum_g, gs

    def second(
        self,
        cotangents: tuple[Tensor, Tensor, Tensor],
        gs: Tensor,
        sums: tuple[Tensor, Tensor],
        state: BlockState,
        block: Block,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Steps`."""
        u, uw, ub = cotangents
        x, _, mean, r, selected, where, y = state
        us = u if block.window is None else gather(u, where)
        sums_of_u = (*_sums(u, x, mean, r), rows(us * gs).sum(-2))
        terms = second_terms(state, (uw, ub), sums, sums_of_u, _count(x))

        of_g = _affine(selected, terms.kr, terms.constant_g)
        rows(of_g).addcmul_(rows(us), terms.wr.unsqueeze(-2))
        if block.relu:
            of_g = _aten.threshold_backward(of_g, y, 0)

        of_x = _affine(x, terms.of_x, terms.constant_x)
        rows(of_x).addcmul_(rows(u), terms.of_u.unsqueeze(-2))
        _add_selected(of_x, gs, terms.kr, where, block.window)
        return of_g, of_x, terms.of_weight


EAGER: Steps = _Eager()


def statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and 1 / sqrt(variance + eps) of each channel."""
    if x.dim() == 5:
        return loop_over_tasks(statistics, x, eps=eps)
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
        return loop_over_tasks(_sums, u, x, mean, r)
    # PyTorch's kernel for batch norm's gradient has both sums, in one pass.
    _, products, plain = _aten.native_batch_norm_backward(
        u, x, None, None, None, mean, r, True, 0.0, (False, True, True)
    )
    return products, plain


def _affine(x: Tensor, factor: Tensor, constant: Tensor) -> Tensor:
    """Factor times x plus constant, with one number a channel each."""
    return pictures(torch.addcmul(constant.unsqueeze(-2), rows(x), factor.unsqueeze(-2)), x)


def _add_selected(
    x: Tensor, gs: Tensor, factor: Tensor, where: Tensor, window: Window | None
) -> None:
    """Add factor gs to the x that were selected, in place."""
    if window is None:
        rows(x).addcmul_(rows(gs), factor.unsqueeze(-2))
    else:
        scaled = pictures(rows(gs) * factor.unsqueeze(-2), gs)
        x += scatter(scaled, x, where, window)


def _count(x: Tensor) -> int:
    """How many numbers a channel of one task has."""
    examples, _, height, width = x.shape[-4:]
    return examples * height * width
