"""Tasks of different sizes: those of the same sizes together, none with its padding."""

from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import Any

import torch
from torch import Tensor

from fewstep.execution.executor import Executor, MetaGradient, Path, Piece, weighted_mean
from fewstep.metagrad.objective import Objective, QueryResult
from fewstep.metagrad.unroll import GradientRule
from fewstep.tasks import TaskBatch

Run = Callable[[TaskBatch, Callable[[Executor], Any]], Any]
"""Computes tasks of the same sizes by the executor that suits them."""


class Grouped(Executor):
    """Computes each group of tasks of the same sizes by ``run``, and puts them in order again.

    Nothing is masked, so loss, batch norm, metrics and gradient are those of the tasks alone.
    """

    def __init__(self, objective: Objective, run: Run) -> None:
        super().__init__(objective)
        self._run = run

    def pieces(self, tasks: TaskBatch) -> Iterator[Piece]:
        """Not in one order: groups are computed by executors of their own."""
        raise NotImplementedError

    def meta_gradient(self, tasks: TaskBatch, rule: GradientRule) -> MetaGradient:
        """The gradient of the mean query loss over all tasks."""
        order: list[int] = []
        found: list[MetaGradient] = []
        for numbers, part in tasks.even_parts():
            order += numbers
            found.append(self._run(part, methodcaller("meta_gradient", part, rule)))
        shares = [len(one.query.losses) / len(tasks) for one in found]
        gradient = weighted_mean([one.gradient for one in found], shares)
        return MetaGradient(_in_order([one.query for one in found], order), gradient)

    def evaluate(self, tasks: TaskBatch, path: Path) -> list[QueryResult]:
        """The query results of every point on each task's path of parameters."""
        order: list[int] = []
        rows: list[list[QueryResult]] = []
        for numbers, part in tasks.even_parts():
            order += numbers
            rows.append(self._run(part, methodcaller("evaluate", part, path)))
        return [_in_order(list(column), order) for column in zip(*rows, strict=True)]


def _in_order(results: list[QueryResult], order: list[int]) -> QueryResult:
    """The results of groups, whose tasks have these numbers, in the order of the tasks."""
    places = torch.tensor(order).argsort()

    def joined(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts)[places.to(parts[0].device)]

    # Predictions for query sets of different sizes are not of one shape.
    shapes = {n: {r.metrics[n].shape[1:] for r in results} for n in results[0].metrics}
    statistics = [result.statistics for result in results if result.statistics is not None]
    return QueryResult(
        joined([result.losses for result in results]),
        {n: joined([r.metrics[n] for r in results]) for n, of in shapes.items() if len(of) == 1},
        joined(statistics) if statistics else None,
    )
