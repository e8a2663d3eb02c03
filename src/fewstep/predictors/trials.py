"""Tasks that a support set is judged by: one with a query set, or some that leave examples out."""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor

from fewstep.tasks import TaskBatch

MOST_EXAMPLES = 4000
"""Support examples of all tasks that leave some out: seconds for a small network."""
QUERY_AT_ONCE = 250


def with_query(x: Tensor, y: Tensor, query_x: Tensor, query_y: Tensor) -> Iterator[TaskBatch]:
    """One task whose query set comes in parts that memory has room for."""
    for start in range(0, len(query_y), QUERY_AT_ONCE):
        part = slice(start, start + QUERY_AT_ONCE)
        yield TaskBatch(x[None], y[None], query_x[None, part], query_y[None, part])


def leaving_one_out(x: Tensor, y: Tensor) -> Iterator[TaskBatch]:
    """Tasks that leave out one example of each class, and are judged by these.

    Together they leave out every example, or of very many as many as there is time for. That it is
    one of each class, again and again of a class with few, keeps the balance of the classes: what
    is left of a class must not be rarer for being asked for. An example is asked for once.
    """
    of_class = [(y == label).nonzero()[:, 0].tolist() for label in sorted(set(y.tolist()))]
    rows = torch.arange(len(y), device=y.device)
    rounds = min(max(map(len, of_class)), max(2, MOST_EXAMPLES // len(y)))
    for number in range(rounds):
        out = torch.tensor([own[number % len(own)] for own in of_class], device=y.device)
        asked = torch.tensor([own[number] for own in of_class if number < len(own)]).to(y.device)
        kept = rows[~torch.isin(rows, out)]
        yield TaskBatch(x[None, kept], y[None, kept], x[None, asked], y[None, asked])


def of_one_example(y: Tensor) -> list[int]:
    """The classes that have a single example, so that none can be left out."""
    return [label for label, count in Counter(y.tolist()).items() if count == 1]
