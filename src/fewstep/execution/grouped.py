"""Tasks of different sizes, in parts of one size, each by the executor that suits it."""

from collections.abc import Callable, Iterator
from operator import methodcaller
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.execution.executor import Executor, MetaGradient, Path, Piece, weighted_mean
from fewstep.execution.padding import Part
from fewstep.metagrad.objective import Objective, QueryResult
from fewstep.metagrad.unroll import GradientRule
from fewstep.tasks import TaskBatch

Run = Callable[[Objective, TaskBatch, Callable[[Executor], Any]], Any]
"""Computes tasks of one size by the executor that suits them."""


class Grouped(Executor):
    """Computes each part of the tasks by ``run``, and puts them in order again."""

    def __init__(
        self, objective: Objective, divide: Callable[[TaskBatch], list[Part]], run: Run
    ) -> None:
        super().__init__(objective)
        self._divide, self._run = divide, run

    def pieces(self, tasks: TaskBatch) -> Iterator[Piece]:
        """Not in one order: parts are computed by executors of their own."""
        raise NotImplementedError

    def meta_gradient(self, tasks: TaskBatch, rule: GradientRule) -> MetaGradient:
        """The gradient of the mean query loss over all tasks."""
        order, found = self._each(tasks, "meta_gradient", rule)
        shares = [len(one.query.losses) / len(tasks) for one in found]
        gradient = weighted_mean([one.gradient for one in found], shares)
        return MetaGradient(_in_order([one.query for one in found], order), gradient)

    def evaluate(self, tasks: TaskBatch, path: Path) -> list[QueryResult]:
        """The query results of every point on each task's path of parameters."""
        order, rows = self._each(tasks, "evaluate", path)
        return [_in_order(list(column), order) for column in zip(*rows, strict=True)]

    def _each(self, tasks: TaskBatch, method: str, of: Any) -> tuple[list[int], list[Any]]:
        """The numbers of the tasks, part by part, and the results of a method of an executor."""
        parts = self._divide(tasks)
        results = [
            self._run(part.objective, part.tasks, methodcaller(method, part.tasks, of))
            for part in parts
        ]
        return [number for part in parts for number in part.numbers], results


def _in_order(results: list[QueryResult], order: list[int]) -> QueryResult:
    """The results of parts, whose tasks have these numbers, in the order of the tasks."""
    places = torch.tensor(order).argsort()

    def joined(parts: list[Tensor]) -> Tensor:
        return torch.cat(_of_one_length(parts))[places.to(parts[0].device)]

    # Predictions for tasks of different ways are not of one shape.
    shapes = {n: {r.metrics[n].shape[2:] for r in results} for n in results[0].metrics}
    statistics = [result.statistics for result in results if result.statistics is not None]
    return QueryResult(
        joined([result.losses for result in results]),
        {n: joined([r.metrics[n] for r in results]) for n, of in shapes.items() if len(of) == 1},
        joined(statistics) if statistics else None,
    )


def _of_one_length(parts: list[Tensor]) -> list[Tensor]:
    """Predictions ``[tasks, examples, ways]`` of as many examples each, with zeros for padding."""
    if parts[0].dim() < 3:
        return parts
    longest = max(part.shape[1] for part in parts)
    return [F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
