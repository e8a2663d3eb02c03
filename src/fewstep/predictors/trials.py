"""Trials of a support set: tasks of its own examples that leave some of them out."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

MOST_EXAMPLES = 4000
"""Support examples of all tasks that leave some out: seconds for a small network."""


class Trial(NamedTuple):
    """One task: the support set to adapt on, and the query set to be judged on."""

    x: Tensor
    y: Tensor
    query_x: Tensor
    query_y: Tensor


def leaving_one_out(x: Tensor, y: Tensor) -> Iterator[Trial]:
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
        yield Trial(x[kept], y[kept], x[asked], y[asked])


def of_one_example(y: Tensor) -> list[int]:
    """The classes that have a single example, so that none can be left out."""
    return [label for label, count in Counter(y.tolist()).items() if count == 1]
