"""Evaluation on many tasks: mean and 95% interval after each number of inner steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fewstep.choices import Norm
from fewstep.errors import InputError
from fewstep.evaluation.numbers import shown
from fewstep.evaluation.task_sets import TaskSet, task_batches
from fewstep.learners.base import Evaluation, Learner
from fewstep.runtime.rng import preserve_rng_state


class Means(NamedTuple):
    """One figure after 0, 1, ... inner steps.

    Attributes:
        mean: Over tasks.
        ci95: Half the 95% interval of each mean: 1.96 standard errors.
    """

    mean: list[float]
    ci95: list[float]

    def shown(self, metric: str, step: int) -> str:
        """The figure of a metric after some inner steps, with its interval, as text."""
        return shown(metric, self.mean[step], self.ci95[step])


@dataclass(frozen=True, repr=False)
class Result:
    """Means over tasks, with their protocol.

    Attributes:
        metrics: By name; there is one at least.
        loss: The query loss.
        tasks: How many tasks.
        diverged: The first task with a loss that is not finite, and after which inner step; or
            None.
        norm: Which statistics batch norm used on the query sets; None where that is not known.
    """

    metrics: dict[str, Means]
    loss: Means
    tasks: int
    diverged: tuple[int, int] | None
    norm: Norm | None = None

    @property
    def score(self) -> Means:
        """The first metric."""
        return next(iter(self.metrics.values()))

    @property
    def columns(self) -> dict[str, Means]:
        """The metrics and the loss, by name."""
        return {**self.metrics, "loss": self.loss}

    def __repr__(self) -> str:
        rows = [["inner steps", *self.columns]] + [
            [str(step), *(means.shown(name, step) for name, means in self.columns.items())]
            for step in range(len(self.loss.mean))
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.rjust, row, widths)) for row in rows]
        norm = f"; {self.norm} batch norm" if self.norm else ""
        return "\n".join([*table, f"mean ± 95% interval over {self.tasks} tasks{norm}"])


Results = dict[Norm, Result]
"""By the statistics that batch norm uses, those of the run's own protocol first."""


def evaluate(
    learner: Learner,
    tasks: TaskSet,
    steps: int | None = None,
    norm: Norm | None = None,
    *,
    n: int | None = None,
) -> Result:
    """Adapt to each task and evaluate it after 0, 1, ..., steps inner steps. Nothing is learned.

    Args:
        learner: Any learner.
        tasks: A `TaskBatch`; a source, which makes tasks from their numbers by
            ``batch(indices)``; or an iterable of either batches or single tasks, ``(support_x,
            support_y, query_x, query_y)``.
        steps: Most inner steps; the learner's own number unless given.
        norm: Which statistics batch norm uses on the query sets; the learner's own choice unless
            given.
        n: How many tasks at most: all unless given, and 600 of a source.

    Returns:
        Mean and 95% interval of each metric and of the loss; it prints as a table.

    Raises:
        InputError: The tasks do not fit the learner, or there is none.

    >>> import torch, fewstep
    >>> learner = fewstep.MAML(torch.nn.Linear(3, 2), inner_lr=10.0)
    >>> tasks = fewstep.TaskBatch(
    ...     torch.zeros(4, 5, 3), torch.zeros(4, 5).long(),
    ...     torch.zeros(4, 5, 3), torch.zeros(4, 5).long(),
    ... )
    >>> fewstep.evaluate(learner, tasks, steps=1).metrics["accuracy"].mean[1]
    1.0
    """
    steps = int(own(learner, "inner_steps")) if steps is None else steps
    with preserve_rng_state(device_of(learner)):
        result = means(evaluate_tasks(learner, tasks, n, steps, norm))
    used: Norm | None = norm or own(learner, "norm")
    return Result(result.metrics, result.loss, result.tasks, result.diverged, used)


def evaluate_tasks(
    learner: Learner,
    tasks: TaskSet,
    n: int | None,
    steps: int,
    norm: Norm | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Evaluate on the first ``n`` tasks, each by itself, on the learner's device.

    Args:
        learner: Left as it is.
        tasks: As `evaluate` takes them.
        n: How many tasks; None for all, and for `OF_A_SOURCE` of a source.
        steps: Most inner steps.
        norm: Which statistics batch norm uses on the query set.
        advance: Told how many tasks were done since the last call.
    """
    device, parts = device_of(learner), []
    for batch in task_batches(tasks, n):
        parts.append(learner.evaluate(batch.to(device), steps, norm))
        advance(len(batch))
    if not parts:
        raise InputError("tasks is empty; expected at least one task")
    return Evaluation(
        torch.cat([part.losses for part in parts]),
        {name: torch.cat([part.metrics[name] for part in parts]) for name in parts[0].metrics},
    )


def own(learner: Any, name: str) -> Any:
    """A setting of a learner, or of the one that it shares out; None where there is none."""
    inner = getattr(learner, "learner", learner)
    return getattr(learner, name, getattr(inner, name, None))


def device_of(learner: Learner) -> torch.device:
    """The device of a learner's parameters; the CPU where it has none."""
    first = next(iter(learner.named_parameters()), None)
    return torch.device("cpu") if first is None else first[1].device


def means(evaluation: Evaluation) -> Result:
    """The means over tasks, with their intervals."""
    bad = (~evaluation.losses.isfinite()).nonzero().tolist()
    return Result(
        metrics={name: _means(values) for name, values in evaluation.metrics.items()},
        loss=_means(evaluation.losses),
        tasks=len(evaluation.losses),
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
    own_values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    _copy(parameters, values)
    try:
        yield
    finally:
        _copy(parameters, own_values)


def _copy(parameters: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
