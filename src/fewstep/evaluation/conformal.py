"""Prediction intervals of a regression from residuals on validation tasks: split conformal."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fewstep.data.tables.tasks import TableTasks
from fewstep.evaluation.by_rows import Mean, by_task, mean_of
from fewstep.evaluation.evaluate import device_of
from fewstep.evaluation.rivals.drawn import Drawn, draw
from fewstep.evaluation.table_rivals import ROWS, unit_of
from fewstep.learners.base import Learner

LEVEL = 0.95
DRAWS = 60
"""Draws of rows of each split that a half width, and its coverage, come from, at most."""


@dataclass(frozen=True)
class Interval:
    """A prediction's interval for so many support rows.

    Attributes:
        rows: Support rows.
        half_width: In the unit of the target.
        coverage: Share of the rows of test tasks that are inside, with its interval over tasks.
        tasks: How many test tasks these are.
    """

    rows: int
    half_width: float
    coverage: Mean
    tasks: int


def half_width(residuals: NDArray[np.float64], level: float = LEVEL) -> float:
    """The quantile of the residuals within which a new one is with a probability of ``level``.

    The ``ceil((n + 1) level)``-th smallest of n: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman
    2018, "Distribution-free predictive inference for regression", arXiv 1604.04173, algorithm 2.
    That holds for rows in any order alike; those of one task resemble one another, which is why
    the coverage is checked on tasks never seen.

    >>> half_width(np.arange(1.0, 100.0))
    95.0
    >>> half_width(np.arange(5.0))
    inf
    """
    place = math.ceil((len(residuals) + 1) * level)
    return float(np.sort(residuals)[place - 1]) if place <= len(residuals) else math.inf


def intervals(
    learner: Learner,
    steps: int,
    validation: TableTasks,
    test: TableTasks,
    draws: int = DRAWS,
    rows: Iterable[int] = ROWS,
) -> list[Interval]:
    """The interval for each number of support rows that tasks have.

    Args:
        learner: A regression, adapted as `Learner.adapt` does for a task of one's own.
        steps: Inner steps.
        validation: Tasks whose residuals tell the half width.
        test: Tasks on which the coverage is checked.
        draws: Draws of rows of each split, `DRAWS` at most.
        rows: Numbers of support rows.
    """
    found, draws, unit = [], min(draws, DRAWS), unit_of(test)
    for number in sorted({*rows}):
        known, asked = draw(validation, number, draws), draw(test, number, draws)
        if known is None or asked is None:
            continue
        half = half_width(unit * np.concatenate(_residuals(learner, steps, known)))
        if math.isfinite(half):
            off = _residuals(learner, steps, asked)
            inside = by_task([(unit * values <= half).mean() for values in off], asked.names)
            found.append(Interval(number, half, mean_of(inside), len(inside)))
    return found


def _residuals(learner: Learner, steps: int, drawn: Drawn) -> list[NDArray[np.float64]]:
    """How far the query rows of each task are off, ``[query rows]``, as the learner predicts."""
    device, found = device_of(learner), []
    for batch in drawn.batches:
        for number in range(len(batch)):
            x, y, query_x, query_y = batch.to(device).task(number)
            adapted = learner.adapt(x, y, steps)
            with torch.no_grad():
                off = (adapted(query_x) - query_y).abs().flatten()
            found.append(off.double().cpu().numpy())
    return found
