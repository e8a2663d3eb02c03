"""Executes a meta-batch: task by task, or several tasks at once. Results are the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from fewstep.errors import InputError, first_line
from fewstep.functional import Params
from fewstep.inner import Slope, leaves, slope
from fewstep.layers import layer_at_fault
from fewstep.metagrad import Gradient, Judge, Judgement
from fewstep.randomness import reseed, seed_of, seeded_calls, undisturbed
from fewstep.tasks import TaskBatch


@dataclass(frozen=True)
class Problem:
    """What is to be computed for one task, as pure functions of the parameters.

    Attributes:
        support_loss: (parameters, support_x, support_y) to a scalar.
        judge: (parameters, support_x, query_x, query_y) to the query loss and the score, scalars,
            and perhaps to statistics of the query set.
        start: The parameters before the first inner step, theta_0.
        compiled: (parameters, support_x, support_y) to the gradient of the support loss by a
            compiled function, or to None where it cannot be; None for autograd always.
        learned: All that is meta-learned, where that is not ``start`` itself.
    """

    support_loss: Callable[[Params, Tensor, Tensor], Tensor]
    judge: Callable[[Params, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
    start: Params
    compiled: Callable[[Params, Tensor, Tensor], Params | None] | None = None
    learned: Params | None = None


class MetaGradient(NamedTuple):
    """What an outer step needs to know.

    Attributes:
        judgement: Query loss and score of each task after adaptation.
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
    differentiate: Callable[[Slope, Judge, Params], Gradient],
) -> MetaGradient:
    """The gradient of the mean query loss of a meta-batch.

    Args:
        problem: What each task is.
        tasks: The meta-batch.
        at_once: How many tasks to vectorise over at most; 0 computes one after another without.
        differentiate: Takes the support gradient, the judge and all that is meta-learned.
    """
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
    path: Callable[[Slope, Params], list[Params]],
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
        _judge_all(judge, path(gradient_of, start))
        for gradient_of, judge, start in _pieces(problem, tasks, at_once)
    ]
    return [_cat(list(column)) for column in zip(*rows, strict=True)]


def can_vectorise(problem: Problem, tasks: TaskBatch) -> bool:
    """Whether the model and the loss can be computed for several tasks at once, fast."""
    gradient, judge, _ = _stack(problem, tasks[:2])
    start = _for_each(tasks[:2], problem.start)
    try:
        with undisturbed(tasks.support_x.device), warnings.catch_warnings():
            # PyTorch warns where vmap falls back to a loop of its own.
            warnings.simplefilter("error")
            gradient(leaves(start), 0, False)
            judge(start)
    except (InputError, Warning):
        return False
    return True


def _pieces(
    problem: Problem, tasks: TaskBatch, at_once: int
) -> Iterator[tuple[Slope, Judge, Params]]:
    if not at_once:
        with seeded_calls(tasks.support_x.device) as seed:
            for number in range(len(tasks)):
                yield _single(problem, tasks, number, seed)
        return
    # Of almost the same size, so that none is too small to be worth it.
    pieces = -(-len(tasks) // at_once)
    bounds = [len(tasks) * piece // pieces for piece in range(pieces + 1)]
    for first, end in pairwise(bounds):
        yield _stack(problem, tasks[first:end])


def _single(
    problem: Problem, tasks: TaskBatch, number: int, seed: int
) -> tuple[Slope, Judge, Params]:
    """One task. Its random numbers depend on the seed, its number and the inner step alone."""
    support_x, support_y = tasks.support_x[number], tasks.support_y[number]
    query_x, query_y = tasks.query_x[number], tasks.query_y[number]

    def objective(params: Params, step: int) -> Tensor:
        reseed(seed_of(seed, number, step))
        return problem.support_loss(params, support_x, support_y)

    def judge(params: Params) -> Judgement:
        reseed(seed_of(seed, number, None))
        judged = problem.judge(params, support_x, query_x, query_y)
        return Judgement(*(value[None] for value in judged))

    by_autograd = slope(objective)

    def gradient(
        params: Params, step: int, create_graph: bool, adapting: Sequence[str] | None = None
    ) -> Params:
        if problem.compiled is not None:
            reseed(seed_of(seed, number, step))
            found = problem.compiled(params, support_x, support_y)
            if found is not None:
                found = {name: found[name] for name in adapting or found}
                return found if create_graph else {n: g.detach() for n, g in found.items()}
        return by_autograd(params, step, create_graph, adapting)

    return gradient, judge, _learned(problem)


def _stack(problem: Problem, tasks: TaskBatch) -> tuple[Slope, Judge, Params]:
    """All tasks, each with parameters of its own: every tensor has the task in front.

    The tasks do not touch one another, so the gradient of the sum of their losses with respect to
    the stacked parameters holds the gradient of each.
    """
    losses = vmap(problem.support_loss)
    judgements = vmap(problem.judge)

    def objective(params: Params, _: int) -> Tensor:
        with _told_what_to_do():
            return losses(params, tasks.support_x, tasks.support_y).sum()

    def judge(params: Params) -> Judgement:
        with _told_what_to_do():
            return Judgement(*judgements(params, tasks.support_x, tasks.query_x, tasks.query_y))

    return slope(objective), judge, _for_each(tasks, _learned(problem))


def _learned(problem: Problem) -> Params:
    return problem.start if problem.learned is None else problem.learned


def _for_each(tasks: TaskBatch, params: Params) -> Params:
    return {name: value.expand(len(tasks), *value.shape) for name, value in params.items()}


class _told_what_to_do:  # noqa: N801 - reads as a statement
    """Names the way out where a layer cannot be vectorised."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            raise InputError(
                f"{layer_at_fault(error)} cannot be vectorised over tasks ({first_line(error)}); "
                'use execution="loop"'
            ) from error


def _judge_all(judge: Judge, path: list[Params]) -> list[Judgement]:
    with torch.no_grad():
        return [judge(params) for params in path]


def _cat(judgements: list[Judgement]) -> Judgement:
    columns = zip(*judgements, strict=True)
    return Judgement(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]
