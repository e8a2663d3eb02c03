"""Judging a learner on many tasks: mean and 95% interval after each number of inner steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fewstep.data.source import Sampler
from fewstep.functional.call import Norm
from fewstep.learners.base import Evaluation, Learner

EVALUATED = 20
"""Tasks that are evaluated by one call."""


class Means(NamedTuple):
    """One figure after 0, 1, ... inner steps.

    Attributes:
        mean: Over tasks.
        ci95: Half the 95% interval of each mean: 1.96 standard errors.
    """

    mean: list[float]
    ci95: list[float]


@dataclass(frozen=True)
class Result:
    """What a number of tasks showed.

    Attributes:
        metrics: By name; there is one at least.
        loss: The query loss.
        tasks: How many tasks.
        diverged: The first task with a loss that is not finite, and after which inner step; or
            None.
    """

    metrics: dict[str, Means]
    loss: Means
    tasks: int
    diverged: tuple[int, int] | None

    @property
    def score(self) -> Means:
        """The first metric."""
        return next(iter(self.metrics.values()))


Results = dict[Norm, Result]
"""By the statistics that batch norm uses, those of the run's own protocol first."""


def judge_each(
    learner: Learner,
    sampler: Sampler,
    tasks: int,
    steps: int,
    norm: Norm,
    device: str,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Judge on tasks 0, 1, ..., tasks - 1 of the sampler.

    Args:
        learner: Left as it is.
        sampler: Of the split to judge on.
        tasks: How many tasks.
        steps: Most inner steps.
        norm: Which statistics batch norm uses on the query set.
        device: Where the learner is.
        advance: Told how many tasks were done since the last call.
    """
    parts: list[Evaluation] = []
    for start in range(0, tasks, EVALUATED):
        indices = range(start, min(start + EVALUATED, tasks))
        parts.append(learner.evaluate(sampler.batch(indices).to(device), steps, norm))
        advance(len(indices))
    return Evaluation(
        torch.cat([part.losses for part in parts]),
        {name: torch.cat([part.metrics[name] for part in parts]) for name in parts[0].metrics},
    )


def means(judged: Evaluation) -> Result:
    """The means over tasks, with their intervals."""
    bad = (~judged.losses.isfinite()).nonzero().tolist()
    return Result(
        metrics={name: _means(values) for name, values in judged.metrics.items()},
        loss=_means(judged.losses),
        tasks=len(judged.losses),
        diverged=tuple(bad[0]) if bad else None,
    )


def _means(values: Tensor) -> Means:
    return Means(values.mean(0).tolist(), interval(values).tolist())


def interval(scores: Tensor) -> Tensor:
    """Half the 95% interval of the mean over tasks: ``[tasks, ...]`` to ``[...]``."""
    tasks = len(scores)
    if tasks < 2:
        return torch.full(scores.shape[1:], math.nan)
    return 1.96 * scores.std(0) / math.sqrt(tasks)


@contextmanager
def borrowed(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> Iterator[None]:
    """Let the parameters have other values for a while."""
    own = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    _copy(parameters, values)
    try:
        yield
    finally:
        _copy(parameters, own)


def _copy(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
