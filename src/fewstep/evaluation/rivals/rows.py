"""Rows of tables as NumPy arrays, and the form of everything that predicts by them."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewstep.evaluation.by_rows import by_task

Floats = NDArray[np.float64]
Array = NDArray[np.float64] | NDArray[np.int64]
Rival = Callable[[Floats, Array, Floats], Array]
"""Of support rows ``x [rows, features]``, their targets ``y [rows]`` and query rows ``x``: the
predictions ``[query rows]``, numbers or classes."""
Error = Callable[[Array, Array], float]
"""Of predictions and targets: a number, the less the better."""


class Rows(NamedTuple):
    """All rows of the training tasks.

    Attributes:
        x: ``[rows, features]``.
        y: ``[rows]``, the targets.
        task: ``[rows]``, the number of the task that a row belongs to.
    """

    x: Floats
    y: Array
    task: NDArray[np.int64]


class Episode(NamedTuple):
    """One unseen task: its support rows and the query rows that are asked for.

    Attributes:
        support_x: ``[rows, features]``.
        support_y: ``[rows]``.
        query_x: ``[query rows, features]``.
        query_y: ``[query rows]``.
        task: The task's name. One task may be drawn several times, with other rows.
    """

    support_x: Floats
    support_y: Array
    query_x: Floats
    query_y: Array
    task: str = ""


def rmse(prediction: Array, target: Array) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(np.mean((prediction - target) ** 2)))


def error_rate(prediction: Array, target: Array) -> float:
    """The share of wrong classes."""
    return float(np.mean(prediction != target))


def mean_error(rival: Rival, episodes: Iterable[Episode], error: Error) -> float:
    """The mean error over tasks, as it is told; infinite where a prediction is not finite."""
    told = list(episodes)
    found = [error(rival(e.support_x, e.support_y, e.query_x), e.query_y) for e in told]
    if not np.isfinite(found).all():
        return np.inf
    return float(by_task(found, [e.task for e in told], root=error is rmse).mean())


def best_of(
    rivals: Mapping[float, Rival], episodes: list[Episode], error: Error
) -> tuple[float, Rival]:
    """The setting of least mean error on validation tasks, and its rival; the first of equals."""
    errors = {setting: mean_error(rival, episodes, error) for setting, rival in rivals.items()}
    setting = min(errors, key=errors.__getitem__)
    return setting, rivals[setting]
