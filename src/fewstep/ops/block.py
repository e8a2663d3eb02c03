"""Batch norm, with or without ReLU and max-pooling after it, as three steps of arithmetic.

For each channel, over the n numbers x of it: h = (x - mean) r with r = 1 / sqrt(var + eps), and
y = relu(pool(w h + b)). Batch norm and ReLU are monotone in each channel, so max-pooling may come
first: it selects some of the x, and all that follows is done for those alone.

A cotangent of y, without what ReLU stopped, is a cotangent gs of the selected w h + b. With
g = gs where x was selected and 0 elsewhere, the gradients are

    dx = w r (g - sum(g) / n - h sum(g h) / n),    dw = sum(g h),    db = sum(g).

The derivative of u . dx + uw dw + ub db with respect to gs, x and w consists, like these, of sums
of multiples of g, u and x by a number a channel, so each takes few passes over memory.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

from fewstep.ops.layout import as_output
from fewstep.ops.max_pool import Window


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


class BlockState(NamedTuple):
    """What the way forward leaves for the way back.

    Attributes:
        x: ``[examples, channels, height, width]``.
        weight: ``[channels]``, w.
        mean: ``[channels]``.
        r: ``[channels]``.
        selected: The x that the pooling selected; all of them without one.
        where: Which those are; what it holds is the affair of the steps.
        y: The result where there is ReLU, whose gradient looks at it; else the selected x again,
            since a layer that comes after may change the result in place.
    """

    x: Tensor
    weight: Tensor
    mean: Tensor
    r: Tensor
    selected: Tensor
    where: Tensor
    y: Tensor


class Steps(Protocol):
    """One way to do the arithmetic. No step keeps a graph."""

    def forward(
        self, x: Tensor, weight: Tensor, bias: Tensor, block: Block
    ) -> tuple[Tensor, BlockState]:
        """The result, and what is to be kept."""

    def gradient(self, g: Tensor, state: BlockState, block: Block) -> tuple[Tensor, ...]:
        """The gradients dx, dw and db of a cotangent of y, and gs."""

    def second(
        self,
        cotangents: tuple[Tensor, Tensor, Tensor],
        gs: Tensor,
        sums: tuple[Tensor, Tensor],
        state: BlockState,
        block: Block,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients for g, x and w of cotangents of dx, dw and db.

        Args:
            cotangents: u, uw and ub.
            gs: As `gradient` returned it.
            sums: dw and db, likewise.
            state: Of the way forward.
            block: What is done after the normalisation.
        """


def result_of(y: Tensor, block: Block) -> Tensor:
    """What to return of ``y``, which is kept for the way back.

    Where PyTorch keeps what ReLU made before the pooling, a layer that comes after may change the
    result in place.
    """
    return y.clone() if block.relu and block.window is not None else as_output(y)


class GradientTerms(NamedTuple):
    """dx = wr g + of_x x + constant, each a number a channel."""

    wr: Tensor
    of_x: Tensor
    constant: Tensor


def gradient_terms(state: BlockState, sum_gh: Tensor, sum_g: Tensor, n: int) -> GradientTerms:
    """For a channel of n numbers."""
    wr = state.weight * state.r
    of_x = -wr * state.r * sum_gh / n
    return GradientTerms(wr, of_x, -wr * sum_g / n - of_x * state.mean)


class SecondTerms(NamedTuple):
    """What the derivative of the gradient consists of, each a number a channel.

    For g it is kr (selected x) + wr u + constant_g, and for x it is kr g + of_x x + of_u u +
    constant_x.
    """

    kr: Tensor
    wr: Tensor
    constant_g: Tensor
    of_x: Tensor
    of_u: Tensor
    constant_x: Tensor
    of_weight: Tensor


def second_terms(
    state: BlockState,
    cotangents: tuple[Tensor, Tensor],
    sums: tuple[Tensor, Tensor],
    sums_of_u: tuple[Tensor, Tensor, Tensor],
    n: int,
) -> SecondTerms:
    """For a channel of n numbers.

    Args:
        state: Of the way forward.
        cotangents: uw and ub.
        sums: Of g h and of g.
        sums_of_u: Of u h, of u and of u g.
        n: How many numbers a channel has.
    """
    (uw, ub), (sum_gh, sum_g), (sum_uh, sum_u, sum_ug) = cotangents, sums, sums_of_u
    mean, r = state.mean, state.r
    wr = state.weight * r
    k = uw - wr * sum_uh / n
    a = -wr * sum_gh / n
    inner = sum_ug - (sum_u * sum_g + sum_uh * sum_gh) / n
    of_h = -r * (a * sum_uh + k * sum_gh + wr * inner) / n
    constant_g = ub - wr * sum_u / n - k * r * mean
    constant_x = -r * ((a * sum_u + k * sum_g) / n + of_h * mean)
    return SecondTerms(k * r, wr, constant_g, of_h * r, r * a, constant_x, r * inner)
