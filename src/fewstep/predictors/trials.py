"""Tasks that a support set is judged by: one with a query set, or one for each example left out."""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor

from fewstep.tasks import TaskBatch

MOST_EXAMPLES = 4000
"""Examples to adapt to, of all those left out together: seconds for a small network."""
NUMBERS_AT_ONCE = 2**24
QUERY_AT_ONCE = 250


def with_query(x: Tensor, y: Tensor, query_x: Tensor, query_y: Tensor) -> Iterator[TaskBatch]:
    """One task whose query set comes in parts that memory has room for."""
    for start in range(0, len(query_y), QUERY_AT_ONCE):
        part = slice(start, start + QUERY_AT_ONCE)
        yield TaskBatch(x[None], y[None], query_x[None, part], query_y[None, part])


def leaving_one_out(x: Tensor, y: Tensor, chosen: list[int]) -> Iterator[TaskBatch]:
    """A task for each chosen example: a support set of all others, and a query set of it alone."""
    together = max(1, NUMBERS_AT_ONCE // x.numel())
    rows = torch.arange(len(y), device=y.device)
    for start in range(0, len(chosen), together):
        some = torch.tensor(chosen[start : start + together], device=y.device)
        others = torch.stack([rows[rows != number] for number in some])
        yield TaskBatch(x[others], y[others], x[some, None], y[some, None])


def to_leave_out(y: Tensor) -> list[int]:
    """The examples to leave out in turn: all, or of very many as many as there is time for.

    The classes take turns, so that these are of each class alike.
    """
    seen: Counter[int] = Counter()
    rank = []
    for label in y.tolist():
        rank.append(seen[label])
        seen[label] += 1
    in_turn = sorted(range(len(rank)), key=rank.__getitem__)
    return in_turn[: max(MOST_EXAMPLES // len(y), len(seen))]


def of_one_example(y: Tensor) -> list[int]:
    """The classes that have a single example, so that none can be left out."""
    return [label for label, count in Counter(y.tolist()).items() if count == 1]
