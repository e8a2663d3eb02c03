"""Executes a meta-batch: task by task, or several tasks at once. Results are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from fewstep.execution.vmapped import stacked
from fewstep.execution.whole import whole_gradient
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn, support_gradient
from fewstep.metagrad.objective import Objective
from fewstep.metagrad.unroll import EvaluateQuery, Gradient, QueryResult, detached
from fewstep.ops.layout import channels_last, use_fast_path
from fewstep.runtime.rng import reseed, seed_of, seeded_calls
from fewstep.tasks import TaskBatch


class MetaGradient(NamedTuple):
    """What an outer step needs to know.

    Attributes:
        query: Query loss and metrics of each task after adaptation.
        gradient: Gradient of the mean query loss, by parameter name.
        statistics: What batch norm saw after each inner step, mean over the tasks, by the names of
            the learner's running statistics; None where it keeps none.
    """

    query: QueryResult
    gradient: Params
    statistics: Params | None = None


def mean_gradient(
    objective: Objective,
    tasks: TaskBatch,
    at_once: int,
    differentiate: partial[Gradient],
) -> MetaGradient:
    """The gradient of the mean query loss of a meta-batch.

    Args:
        objective: What each task is.
        tasks: The meta-batch.
        at_once: About how many tasks to vectorise over; 0 computes one after another without.
        differentiate: Takes the support gradient, the query evaluation and what is meta-learned.
            Where the objective is compiled, it is one of `fewstep.metagrad.unroll`.
    """
    if objective.compiled is not None:
        if at_once >= len(tasks):
            found = whole_gradient(objective, tasks, differentiate)
            if found is not None:
                return MetaGradient(*found)
        if not objective.compiled.compiler.functions.given_up:
            at_once = 0
    results = []
    total: Params = {}
    for grad_fn, evaluate_query, start in _pieces(objective, tasks, at_once):
        query, gradient = differentiate(grad_fn, evaluate_query, start)
        results.append(query)
        if at_once:
            gradient = {name: g.sum(0) for name, g in gradient.items()}
        total = {name: total[name] + g for name, g in gradient.items()} if total else gradient
    return MetaGradient(_cat(results), {name: g / len(tasks) for name, g in total.items()})


def evaluate_paths(
    objective: Objective,
    tasks: TaskBatch,
    at_once: int,
    path: Callable[[GradFn, Params], Iterator[Params]],
) -> list[QueryResult]:
    """The query results of every point on each task's path of parameters.

    Args:
        objective: What each task is.
        tasks: The tasks.
        at_once: As in `mean_gradient`.
        path: Takes the support gradient and all that is meta-learned; returns theta_0, theta_1,
            ...
    """
    rows = [
        _evaluate_all(evaluate_query, path(grad_fn, start), objective.needs_gradients)
        for grad_fn, evaluate_query, start in _pieces(objective, tasks, at_once)
    ]
    return [_cat(list(column)) for column in zip(*rows, strict=True)]


def _pieces(
    objective: Objective, tasks: TaskBatch, at_once: int
) -> Iterator[tuple[GradFn, EvaluateQuery, Params]]:
    # Once for all tasks and inner steps, instead of in every convolution.
    start = {
        name: channels_last(value.detach()) if use_fast_path(value) else value
        for name, value in objective.meta_learned.items()
    }
    if not at_once:
        with seeded_calls(tasks.device) as seed:
            for number in range(len(tasks)):
                yield *_single(objective, tasks, number, seed), start
        return
    # Of almost the same size, so that none is too small to be worth it; up to half larger than was
    # asked for, since fewer pieces are faster.
    pieces = max(1, round(len(tasks) / at_once))
    bounds = [len(tasks) * piece // pieces for piece in range(pieces + 1)]
    for first, end in pairwise(bounds):
        yield stacked(objective, tasks[first:end], start)


def _single(
    objective: Objective, tasks: TaskBatch, number: int, seed: int
) -> tuple[GradFn, EvaluateQuery]:
    """One task. Its random numbers depend on the seed, its number and the inner step alone."""
    support_x, support_y, query_x, query_y = tasks.task(number)

    def step_loss(params: Params, step: int) -> Tensor:
        reseed(seed_of(seed, number, step))
        return objective.support_loss(params, support_x, support_y)

    def evaluate_query(params: Params) -> QueryResult:
        reseed(seed_of(seed, number, None))
        found = None
        # Evaluating without a gradient is not worth code of its own.
        if objective.compiled is not None and torch.is_grad_enabled():
            found = objective.compiled.evaluate_query(params, query_x, query_y)
        loss, needed, statistics = found or objective.evaluate_query(
            params, support_x, query_x, query_y
        )
        metrics = objective.metrics.of([t[None] for t in needed], query_y[None], loss[None])
        return QueryResult(loss[None], metrics, statistics[0][None] if statistics else None)

    by_autograd = support_gradient(step_loss)

    def gradient(
        params: Params, step: int, create_graph: bool, adapting: Sequence[str] | None = None
    ) -> Params:
        if objective.compiled is not None:
            reseed(seed_of(seed, number, step))
            names = list(params) if adapting is None else adapting
            found = objective.compiled.gradient(params, support_x, support_y, names)
            if found is not None:
                return found if create_graph else {n: g.detach() for n, g in found.items()}
        return by_autograd(params, step, create_graph, adapting)

    return gradient, evaluate_query


def _evaluate_all(
    evaluate_query: EvaluateQuery, path: Iterator[Params], with_gradients: bool
) -> list[QueryResult]:
    with torch.set_grad_enabled(with_gradients):
        return [detached(evaluate_query(params)) for params in path]


def _cat(results: list[QueryResult]) -> QueryResult:
    statistics = [r.statistics for r in results if r.statistics is not None]
    return QueryResult(
        torch.cat([r.losses for r in results]),
        {name: torch.cat([r.metrics[name] for r in results]) for name in results[0].metrics},
        torch.cat(statistics) if statistics else None,
    )
