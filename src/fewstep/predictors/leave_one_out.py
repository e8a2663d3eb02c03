"""Leave-one-out: each support example is predicted by what the others teach."""

from collections.abc import Iterator

import torch
from torch import Tensor

from fewstep.tasks import TaskBatch

MOST_EXAMPLES = 4000
"""Examples to adapt to, of all held-out ones together: seconds for a small network."""
NUMBERS_AT_ONCE = 2**24


def held_out(y: Tensor) -> list[int]:
    """The examples to hold out: all, or of many as many as there is time for, of each class alike.

    They come class by class in turn, so that the first ones are of different classes.
    """
    rank = torch.zeros_like(y)
    for label in y.unique():
        of_class = y == label
        rank[of_class] = torch.arange(int(of_class.sum()))
    in_turn: list[int] = torch.argsort(rank, stable=True).tolist()
    return in_turn[: max(MOST_EXAMPLES // len(y), len(y.unique()))]


def one_held_out(x: Tensor, y: Tensor, examples: list[int]) -> Iterator[TaskBatch]:
    """Tasks that hold out one example each: a support set of all others, and a query set of one."""
    together = max(1, NUMBERS_AT_ONCE // x.numel())
    for start in range(0, len(examples), together):
        some = torch.tensor(examples[start : start + together])
        others = torch.stack([torch.cat([torch.arange(i), torch.arange(i + 1, len(y))]) for i in some])
        yield TaskBatch(x[others], y[others], x[some, None], y[some, None])


def singles(y: Tensor) -> list[int]:
    """The classes with a single example, which cannot be held out."""
    labels, counts = y.unique(return_counts=True)
    found: list[int] = labels[counts == 1].tolist()
    return found
