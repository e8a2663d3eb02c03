"""Scores on unseen tasks by the number of their rows: which of several models is the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewstep.evaluation.numbers import student

Scores = NDArray[np.float64]
"""``[tasks]``, one for each task by name, in the same order for all models."""


class Mean(NamedTuple):
    """A mean over tasks with half its 95% interval."""

    mean: float
    ci95: float


@dataclass(frozen=True)
class AtRows:
    """Scores on tasks with so many support rows.

    Attributes:
        rows: Support rows of each task.
        scores: Of each model by name, for the same tasks.
        larger_is_better: Whether more of a score is better.
        chosen: What was chosen of a model on validation tasks, in words; "" for nothing.
        diverged: How many draws of rows gave a model's error no number, where there are some.
    """

    rows: int
    scores: Mapping[str, Scores]
    larger_is_better: bool
    chosen: Mapping[str, str]
    diverged: Mapping[str, int] = field(default_factory=dict)

    @property
    def tasks(self) -> int:
        """How many tasks the means are over."""
        return len(next(iter(self.scores.values())))

    @property
    def best(self) -> str:
        """The model of the best mean; one that gave no number is never it."""
        means = {name: values.mean() for name, values in self.scores.items()}
        worst = -math.inf if self.larger_is_better else math.inf
        means = {name: value if np.isfinite(value) else worst for name, value in means.items()}
        return (max if self.larger_is_better else min)(means, key=means.__getitem__)

    @property
    def level(self) -> list[str]:
        """The other models that are not told apart from the best: the interval holds zero."""
        others = [name for name in self.scores if name != self.best]
        return [name for name in others if _holds_zero(self.behind(name, self.best))]

    def mean(self, name: str) -> Mean:
        """The mean score of a model."""
        return mean_of(self.scores[name])

    def behind(self, name: str, other: str) -> Mean:
        """How far a model is behind another on the same tasks: more than 0 where it is worse."""
        sign = -1 if self.larger_is_better else 1
        return mean_of(sign * (self.scores[name] - self.scores[other]))


def by_task(
    scores: Sequence[float] | Scores, names: Sequence[str], *, root: bool = False
) -> Scores:
    """``[tasks]``, the mean score of each task, which may have been drawn several times.

    Of a root, as the rmse is, it is the root of the mean of the squares.

    >>> by_task([1.0, 2.0, 5.0], ["a", "b", "b"])
    array([1. , 3.5])
    >>> by_task([1.0, 1.0, 7.0], ["a", "b", "b"], root=True)
    array([1., 5.])
    """
    _, task = np.unique(np.array(names), return_inverse=True)
    values = np.asarray(scores, float)
    found: Scores = np.bincount(task, values**2 if root else values) / np.bincount(task)
    return np.sqrt(found) if root else found


def mean_of(values: Scores) -> Mean:
    """The mean over tasks, and half its 95% interval by Student's t, as suits few tasks.

    >>> mean, half = mean_of(np.array([1.0, 2.0, 3.0]))
    >>> mean, round(half, 2)
    (2.0, 2.48)
    """
    if len(values) < 2:
        return Mean(float(values.mean()), math.nan)
    half = student(len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return Mean(float(values.mean()), float(half))


def _holds_zero(difference: Mean) -> bool:
    if math.isnan(difference.ci95):
        # Of a single task there is no interval, so nothing is told apart.
        return math.isfinite(difference.mean)
    return abs(difference.mean) <= difference.ci95
