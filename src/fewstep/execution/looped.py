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
from fewstep.metagrad.inner_loop import Slope, slope
from fewstep.metagrad.objective import Problem
from fewstep.metagrad.unroll import Gradient, Judge, Judgement, detached
from fewstep.ops.layout import channels_last, use_fast_path
from fewstep.runtime.rng import reseed, seed_of, seeded_calls
from fewstep.tasks import TaskBatch


class MetaGradient(NamedTuple):
    """What an outer step needs to know.

    Attributes:
        judgement: Query loss and metrics of each task after adaptation.
        gradient: Gradient of the mean query loss, by parameter name.
        statistics: What batch norm saw after each inner step, mean over the tasks, by the names of
            the learner's running statistics; None where it keeps none.
    """

    judgement: Judgement
    gradient: Params
    statistics: Params | None = None


def mean_gradient(
    problem: Problem,
    tasks: TaskBatch,
    at_once: int,
    differentiate: partial[Gradient],
) -> MetaGradient:
    """The gradient of the mean query loss of a meta-batch.

    Args:
        problem: What each task is.
        tasks: The meta-batch.
        at_once: About how many tasks to vectorise over; 0 computes one after another without.
        differentiate: Takes the support gradient, the judge and all that is meta-learned. Where the
            problem is compiled, it is one of `fewstep.metagrad.unroll` with an inner loop.
    """
    if problem.compiled is not None:
        if at_once >= len(tasks):
            found = whole_gradient(problem, tasks, differentiate)
            if found is not None:
                return MetaGradient(*found)
        if not problem.compiled.compiler.functions.given_up:
            at_once = 0
    judgements = []
    total: Params = {}
    for gradient_of, judge, start in _pieces(problem, tasks, at_once):
        judgement, gradient = differentiate(gradient_of, judge, start)
        judgements.append(judgement)
        if at_once:
            gradient = {name: g.sum(0) for name, g in gradient.items()}
        total = {name: total[name] + g for name, g in gradient.items()} if total else gradient
    return MetaGradient(_cat(judgements), {name: g / len(tasks) for name, g in total.items()})


def judge_paths(
    problem: Problem,
    tasks: TaskBatch,
    at_once: int,
    path: Callable[[Slope, Params], Iterator[Params]],
) -> list[Judgement]:
    """The judgement of every point on each task's path of parameters.

    Args:
        problem: What each task is.
        tasks: The tasks.
        at_once: As in `mean_gradient`.
        path: Takes the support gradient and all that is meta-learned; returns theta_0, theta_1,
            ...
    """
    rows = [
        _judge_all(judge, path(gradient_of, start), problem.judges_with_gradients)
        for gradient_of, judge, start in _pieces(problem, tasks, at_once)
    ]
    return [_cat(list(column)) for column in zip(*rows, strict=True)]


def _pieces(
    problem: Problem, tasks: TaskBatch, at_once: int
) -> Iterator[tuple[Slope, Judge, Params]]:
    # Once for all tasks and inner steps, instead of in every convolution.
    start = {
        name: channels_last(value.detach()) if use_fast_path(value) else value
        for name, value in problem.meta_learned.items()
    }
    if not at_once:
        with seeded_calls(tasks.device) as seed:
            for number in range(len(tasks)):
                yield *_single(problem, tasks, number, seed), start
        return
    # Of almost the same size, so that none is too small to be worth it; up to half larger than was
    # asked for, since fewer pieces are faster.
    pieces = max(1, round(len(tasks) / at_once))
    bounds = [len(tasks) * piece // pieces for piece in range(pieces + 1)]
    for first, end in pairwise(bounds):
        yield stacked(problem, tasks[first:end], start)


def _single(problem: Problem, tasks: TaskBatch, number: int, seed: int) -> tuple[Slope, Judge]:
    """One task. Its random numbers depend on the seed, its number and the inner step alone."""
    support_x, support_y, query_x, query_y = tasks.task(number)

    def objective(params: Params, step: int) -> Tensor:
        reseed(seed_of(seed, number, step))
        return problem.support_loss(params, support_x, support_y)

    def judge(params: Params) -> Judgement:
        reseed(seed_of(seed, number, None))
        found = None
        # Judging without a gradient is not worth code of its own.
        if problem.compiled is not None and torch.is_grad_enabled():
            found = problem.compiled.judge(params, query_x, query_y)
        loss, needed, statistics = found or problem.judge(params, support_x, query_x, query_y)
        metrics = problem.metrics.of([t[None] for t in needed], query_y[None], loss[None])
        return Judgement(loss[None], metrics, statistics[0][None] if statistics else None)

    by_autograd = slope(objective)

    def gradient(
        params: Params, step: int, create_graph: bool, adapting: Sequence[str] | None = None
    ) -> Params:
        if problem.compiled is not None:
            reseed(seed_of(seed, number, step))
            names = list(params) if adapting is None else adapting
            found = problem.compiled.gradient(params, support_x, support_y, names)
            if found is not None:
                return found if create_graph else {n: g.detach() for n, g in found.items()}
        return by_autograd(params, step, create_graph, adapting)

    return gradient, judge


def _judge_all(judge: Judge, path: Iterator[Params], with_gradients: bool) -> list[Judgement]:
    with torch.set_grad_enabled(with_gradients):
        return [detached(judge(params)) for params in path]


def _cat(judgements: list[Judgement]) -> Judgement:
    statistics = [j.statistics for j in judgements if j.statistics is not None]
    return Judgement(
        torch.cat([j.losses for j in judgements]),
        {name: torch.cat([j.metrics[name] for j in judgements]) for name in judgements[0].metrics},
        torch.cat(statistics) if statistics else None,
    )
