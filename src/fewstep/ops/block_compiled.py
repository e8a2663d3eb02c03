"""The steps of a `Block` as functions that `torch.compile` makes of plain arithmetic.

They read and write each tensor once, where PyTorch's own operations do so several times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fewstep.ops.block import Block, BlockState, gradient_terms, second_terms
from fewstep.ops.block_eager import statistics
from fewstep.ops.max_pool import Window
from fewstep.runtime.compile_cache import CompiledFunctions

PAIRS = Window((2, 2), (2, 2), (0, 0), (1, 1), False)
"""The only pooling that is compiled."""
CORNERS = (0, 1, 3, 4)
"""What stands for the place of a window's largest number: 3 times its row and its column."""


def can_be_compiled(block: Block) -> bool:
    """Whether there are compiled steps for a block."""
    return block.window in (None, PAIRS)


@dataclass(frozen=True, eq=False)
class CompiledSteps:
    """As `Steps`, for one task. What cannot be compiled runs as it is.

    Attributes:
        functions: Keeps what was compiled.
    """

    functions: CompiledFunctions

    def forward(
        self, x: Tensor, weight: Tensor, bias: Tensor, block: Block
    ) -> tuple[Tensor, BlockState]:
        """As `Steps`."""
        mean, r = statistics(x, block.eps)
        y, *chosen = self._run(_forward, block, x, weight, bias, mean, r)
        selected, where = chosen or (x, x)
        return y, BlockState(x, weight, mean, r, selected, where, y if block.relu else selected)

    def gradient(self, g: Tensor, state: BlockState, block: Block) -> tuple[Tensor, ...]:
        """As `Steps`."""
        return self._run(_gradient, block, *state, g)

    def second(
        self,
        cotangents: tuple[Tensor, Tensor, Tensor],
        gs: Tensor,
        sums: tuple[Tensor, Tensor],
        state: BlockState,
        block: Block,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Steps`."""
        of_g, of_x, of_weight = self._run(_second, block, *state, *cotangents, gs, *sums)
        return of_g, of_x, of_weight

    def _run(
        self, step: Callable[..., tuple[Tensor, ...]], block: Block, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        tensors = tuple(tensor.detach() for tensor in tensors)
        x = tensors[0]

        def function(*tensors: Tensor) -> tuple[Tensor, ...]:
            return step(block, *tensors)

        key = (step, block, x.shape, x.dtype, torch.get_num_threads())
        # The compiler would follow what stands in for PyTorch's functions.
        with torch._C.DisableTorchFunction():
            about = f"blocks of {list(x.shape)}"
            compiled = self.functions.get(key, function, tensors, about)
            return (compiled or function)(*tensors)


def _forward(block: Block, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Result, and what was selected and where, of x, w, b, mean and r."""
    x, weight, bias, mean, r = map(_pixels, tensors)
    chosen = (x,) if block.window is None else _select(x, weight)
    y = (chosen[0] - mean) * (r * weight) + bias
    y = y.clamp_min(0) if block.relu else y
    return _pictures(y), *(() if block.window is None else map(_pictures, chosen))


def _gradient(block: Block, *tensors: Tensor) -> tuple[Tensor, ...]:
    """dx, dw, db and gs, of a `BlockState` and g."""
    *kept, g = map(_pixels, tensors)
    x, _, mean, r, selected, where, y = state = BlockState(*kept)
    gs = g * y.sign() if block.relu else g
    sum_gh, sum_g = (gs * (selected - mean)).sum(_PIXELS) * r, gs.sum(_PIXELS)
    terms = gradient_terms(state, sum_gh, sum_g, x[..., 0].numel())
    dx = x * terms.of_x + terms.constant + _spread(gs * terms.wr, where, x, block)
    return _pictures(dx), sum_gh, sum_g, _pictures(gs)


def _second(block: Block, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The gradients for g, x and w, of a `BlockState`, u, uw, ub, gs, sum(g h) and sum(g)."""
    *kept, u, uw, ub, gs, sum_gh, sum_g = map(_pixels, tensors)
    x, _, mean, r, selected, where, y = state = BlockState(*kept)
    us = u if block.window is None else _selected(u, where)
    sum_uh = (u * (x - mean)).sum(_PIXELS) * r
    sums_of_u = (sum_uh, u.sum(_PIXELS), (us * gs).sum(_PIXELS))
    terms = second_terms(state, (uw, ub), (sum_gh, sum_g), sums_of_u, x[..., 0].numel())
    of_g = selected * terms.kr + terms.constant_g + us * terms.wr
    of_g = of_g * y.sign() if block.relu else of_g
    of_x = x * terms.of_x + u * terms.of_u + terms.constant_x
    of_x = of_x + _spread(gs * terms.kr, where, x, block)
    return _pictures(of_g), _pictures(of_x), terms.of_weight


_PIXELS = (0, 1, 2)


def _pixels(x: Tensor) -> Tensor:
    """Pictures with the channels last, as they lie in memory; other tensors as they are."""
    return x.movedim(1, -1) if x.dim() == 4 else x


def _pictures(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)


def _select(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The x that have the largest w x of each window, the first such, and where they are."""
    sign = weight.sign()
    first, *_ = corners = _corners(x)
    signed = [corner * sign for corner in corners]
    largest = torch.maximum(torch.maximum(*signed[:2]), torch.maximum(*signed[2:]))
    # Truth values would be slow: the compiler reads and writes them one by one.
    not_0, not_1, not_2 = ((largest - corner).sign() for corner in signed[:3])
    where = not_0 * (1 + not_1 * (2 + not_2))
    return largest * sign + first * (1 - sign.abs()), where


def _corners(x: Tensor) -> list[Tensor]:
    height, width = (2 * (size // 2) for size in x.shape[1:3])
    if (height, width) != x.shape[1:3]:
        return [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]
    # The compiler makes more of this than of slices.
    windows = x.view(len(x), height // 2, 2, width // 2, 2, -1)
    return [windows[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]


def _selected(u: Tensor, where: Tensor) -> Tensor:
    """The numbers of u where those of the windows are."""
    products = [u * _at(where, c) for u, c in zip(_corners(u), CORNERS, strict=True)]
    return products[0] + products[1] + products[2] + products[3]


def _spread(s: Tensor, where: Tensor, like: Tensor, block: Block) -> Tensor:
    """Each number of s where that of its window is, and zero elsewhere."""
    if block.window is None:
        return s
    examples, height, width, channels = like.shape
    rows, columns = height // 2, width // 2
    if (2 * rows, 2 * columns) == (height, width):
        window = (examples, rows, 1, columns, 1, channels)
        row, column = torch.arange(2).view(2, 1, 1, 1), torch.arange(2).view(2, 1)
        spread = _at(where.view(window), (3 * row + column).to(s.dtype)) * s.view(window)
        return spread.view(like.shape)
    # The row and the column that belong to no window are third ones of the last.
    of_row = (torch.arange(height) // 2).clamp(max=rows - 1)
    of_column = (torch.arange(width) // 2).clamp(max=columns - 1)
    row = (torch.arange(height) - 2 * of_row).view(-1, 1, 1)
    column = (torch.arange(width) - 2 * of_column).view(-1, 1)
    there = _at(where[:, of_row][:, :, of_column], (3 * row + column).to(s.dtype))
    return there * s[:, of_row][:, :, of_column]


def _at(where: Tensor, place: Tensor | int) -> Tensor:
    """One where a window's place is this one, zero elsewhere."""
    return 1 - (where - place).abs().clamp(max=1)
