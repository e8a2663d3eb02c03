"""The result of an outer step as one tensor a type, which is copied faster than many."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor
from torch._utils import _unflatten_dense_tensors

from fewstep.execution.outer_step import Outcome


class Packed:
    """An outcome whose tensors lie side by side.

    Args:
        outcome: The outcome, whose tensors are copied.
    """

    def __init__(self, outcome: Outcome) -> None:
        tensors = [
            outcome.losses,
            *outcome.metrics.values(),
            *outcome.needed,
            *outcome.statistics,
            *outcome.gradient.values(),
        ]
        kinds = dict.fromkeys(tensor.dtype for tensor in tensors)
        rows = [[n for n, t in enumerate(tensors) if t.dtype is kind] for kind in kinds]
        self._flat = [torch.cat([tensors[n].reshape(-1) for n in row]) for row in rows]
        # Of their shapes, without memory.
        self._shapes = [[tensors[n].to("meta") for n in row] for row in rows]
        places = {number: place for place, number in enumerate(n for row in rows for n in row)}
        self._order = [places[number] for number in range(len(tensors))]
        self._names = list(outcome.metrics), list(outcome.gradient)
        self._lengths = len(outcome.needed), len(outcome.statistics)

    def unpacked(self) -> Outcome:
        """The outcome as it now is, in new memory."""
        found: list[Tensor] = []
        for flat, shapes in zip(self._flat, self._shapes, strict=True):
            found += _unflatten_dense_tensors(flat.clone(), shapes)  # type: ignore[no-untyped-call]
        tensors = iter([found[place] for place in self._order])
        losses, (metrics, gradient), (needed, statistics) = (
            next(tensors),
            self._names,
            self._lengths,
        )
        return Outcome(
            losses,
            dict(zip(metrics, tensors, strict=False)),
            list(islice(tensors, needed)),
            list(islice(tensors, statistics)),
            dict(zip(gradient, tensors, strict=True)),
        )


def by_type(*lists: list[Tensor]) -> Iterator[tuple[list[Tensor], ...]]:
    """The same lists cut into parts whose tensors are of one type, which are copied at once."""
    rows = list(zip(*lists, strict=True))
    for kind in dict.fromkeys(row[-1].dtype for row in rows):
        same = [row for row in rows if row[-1].dtype is kind]
        yield tuple(map(list, zip(*same, strict=True)))
