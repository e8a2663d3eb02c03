"""Judging a learner on many tasks: mean and 95% interval after each number of inner steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fewstep.functional import Norm
from fewstep.learners.learner import Evaluation, Learner
from fewstep.training.setup import Sampler

CHUNK = 20


@dataclass(frozen=True)
class Result:
    """What a number of tasks showed.

    Attributes:
        scores: Mean accuracy (or error) after 0, 1, ... inner steps.
        ci95: Half the 95% interval of each mean, over tasks: 1.96 standard errors.
        losses: Mean query loss after 0, 1, ... inner steps.
        losses_ci95: As ``ci95``, of the losses.
        tasks: How many tasks.
        diverged: The first task with a loss that is not finite, and after which inner step; or
            None.
    """

    scores: list[float]
    ci95: list[float]
    losses: list[float]
    losses_ci95: list[float]
    tasks: int
    diverged: tuple[int, int] | None


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
    for start in range(0, tasks, CHUNK):
        indices = range(start, min(start + CHUNK, tasks))
        parts.append(learner.evaluate(sampler.batch(indices).to(device), steps, norm))
        advance(len(indices))
    return Evaluation(
        torch.cat([part.losses for part in parts]),
        {name: torch.cat([part.metrics[name] for part in parts]) for name in parts[0].metrics},
    )


def means(judged: Evaluation) -> Result:
    """The means over tasks, with their intervals."""
    losses, scores = judged.losses, judged.scores
    bad = (~losses.isfinite()).nonzero().tolist()
    return Result(
        scores=scores.mean(0).tolist(),
        ci95=interval(scores).tolist(),
        losses=losses.mean(0).tolist(),
        losses_ci95=interval(losses).tolist(),
        tasks=len(losses),
        diverged=tuple(bad[0]) if bad else None,
    )


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
