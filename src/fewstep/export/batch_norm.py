"""Batch norm by statistics that are tensors of their own."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from torch import Tensor

from fewstep.errors import InputError
from fewstep.functional.batch_norm import (
    InTraining,
    batch_statistics,
    by_own_statistics,
    normalised,
)
from fewstep.functional.swapped import Params


def collecting(statistics: Params) -> InTraining:
    """Return `by_own_statistics` that adds those of each call, in order."""
    numbers = count()

    def in_training(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        mean, var = _names(next(numbers))
        statistics[mean], statistics[var] = batch_statistics(x)
        return by_own_statistics(x, weight, bias, eps)

    return in_training


def by_given_statistics(statistics: Mapping[str, Tensor]) -> InTraining:
    """Return batch norm by statistics that were collected."""
    numbers = count()

    def in_training(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        mean, var = _names(next(numbers))
        if mean not in statistics:
            raise InputError(
                "batch norm is called more often for one set than for another, so its statistics "
                "cannot be told apart; export with norm transductive"
            )
        return normalised(x, statistics[mean], statistics[var], weight, bias, eps)

    return in_training


def _names(number: int) -> tuple[str, str]:
    return f"statistics.{number}.mean", f"statistics.{number}.var"
