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

from fewstep.kernels.pooling import Window


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


class State(NamedTuple):
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
    ) -> tuple[Tensor, State]:
        """The result, and what is to be kept."""

    def gradient(self, g: Tensor, state: State, block: Block) -> tuple[Tensor, ...]:
        """The gradients dx, dw and db of a cotangent of y, and gs."""

    def second(
        self,
        cotangents: tuple[Tensor, Tensor, Tensor],
        gs: Tensor,
        sums: tuple[Tensor, Tensor],
        state: State,
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
