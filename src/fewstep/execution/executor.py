"""The base of all ways to execute a meta-batch. Results are the same, but for rounding."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

import torch

from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn
from fewstep.metagrad.objective import EvaluateQuery, Objective, QueryResult
from fewstep.metagrad.unroll import GradientRule
from fewstep.ops.layout import channels_last, use_fast_path
from fewstep.tasks import TaskBatch

Path = Callable[[GradFn, Params], Iterator[Params]]
"""Takes the support gradient and all that is meta-learned; returns theta_0, theta_1, ..."""


class MetaGradient(NamedTuple):
    """The result of an outer step."""

    query: QueryResult  # of each task after adaptation
    gradient: Params  # of the mean query loss
    # What batch norm saw after each inner step, mean over the tasks, by the names of the learner's
    # running statistics, if it keeps any.
    statistics: Params | None = None


class Piece(NamedTuple):
    """One task, or several at once, whose tensors have the task in front: a rule's arguments."""

    grad_fn: GradFn
    evaluate_query: EvaluateQuery
    learned: Params


class Executor(ABC):
    """Computes meta-batches piece by piece; ``objective`` is that of each task."""

    takes_any_labels: ClassVar[bool] = False
    """Whether meta-gradients may be asked for of labels that are none: they are NaN then."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    @abstractmethod
    def pieces(self, tasks: TaskBatch) -> Iterator[Piece]:
        """All tasks, each in one of the pieces, in order."""

    def meta_gradient(self, tasks: TaskBatch, rule: GradientRule) -> MetaGradient:
        """The gradient of the mean query loss; `UnsuitableError` where this way has none."""
        results = []
        total: Params = {}
        for piece in self.pieces(tasks):
            query, gradient = rule(*piece)
            results.append(query)
            if piece.grad_fn.batched:
                gradient = {name: g.sum(0) for name, g in gradient.items()}
            total = {name: total[name] + g for name, g in gradient.items()} if total else gradient
        return MetaGradient(_cat(results), {name: g / len(tasks) for name, g in total.items()})

    def evaluate(self, tasks: TaskBatch, path: Path) -> list[QueryResult]:
        """The query results of every point on each task's path of parameters."""
        rows = []
        for grad_fn, evaluate_query, learned in self.pieces(tasks):
            row = []
            for params in path(grad_fn, learned):
                with torch.set_grad_enabled(self.objective.needs_gradients):
                    row.append(evaluate_query(params).detach())
            rows.append(row)
        return [_cat(list(column)) for column in zip(*rows, strict=True)]

    def _learned(self) -> Params:
        """All that is meta-learned, in the layout that is fastest, once for all tasks and steps."""
        return {
            name: channels_last(value.detach()) if use_fast_path(value) else value
            for name, value in self.objective.learned.items()
        }


def _cat(results: list[QueryResult]) -> QueryResult:
    statistics = [r.statistics for r in results if r.statistics is not None]
    return QueryResult(
        torch.cat([r.losses for r in results]),
        {name: torch.cat([r.metrics[name] for r in results]) for name in results[0].metrics},
        torch.cat(statistics) if statistics else None,
    )


def weighted_mean(parts: list[Params], shares: list[float]) -> Params:
    """The mean of each tensor of several dicts, by the share of each."""
    return {
        name: torch.stack([s * part[name] for s, part in zip(shares, parts, strict=True)]).sum(0)
        for name in parts[0]
    }
