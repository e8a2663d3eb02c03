"""How well a model of a table does beside simple rivals, as far as its own query rows tell."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Targets = npt.NDArray[Any]

THIS = "adapted"
NAMES = {
    THIS: "this model, adapted",
    "no_adaptation": "the model before it learned from these rows",
    "support_mean": "the mean of the support rows",
    "support_majority": "the commonest class of the support rows",
}
"""Names of the methods in words."""


@dataclass(frozen=True, eq=False)
class TableVerdict:
    """The errors of a model and its rivals on the same query rows.

    Attributes:
        score: ``"rmse"``, in the unit of the target, or ``"accuracy"``.
        losses: ``{method: [rows]}``, squared errors, or 1 where a class is wrong, by the keys of
            `NAMES`.
        covered: How many targets lie in their interval; None where that is not known.
        left_out: Whether the rows are support rows, each predicted without it.
    """

    score: str
    losses: dict[str, npt.NDArray[np.float64]]
    covered: int | None = None
    left_out: bool = False

    @classmethod
    def of(
        cls, truth: Targets, methods: Mapping[str, Targets], half_width: float | None = None
    ) -> Self:
        """The verdict on ``[rows]`` predictions of each method; the interval is of the first."""
        of_numbers = truth.dtype != object
        losses = {
            name: (one - truth) ** 2 if of_numbers else (one != truth).astype(np.float64)
            for name, one in methods.items()
        }
        covered = None
        if half_width is not None:
            covered = int((np.abs(methods[THIS] - truth) <= half_width).sum())
        return cls("rmse" if of_numbers else "accuracy", losses, covered)

    @property
    def rows(self) -> int:
        """How many rows have a target."""
        return len(self.losses[THIS])

    @property
    def values(self) -> dict[str, float]:
        """The score of each method."""
        means = {name: float(losses.mean()) for name, losses in self.losses.items()}
        of_errors = self.score == "rmse"
        return {name: math.sqrt(m) if of_errors else 1 - m for name, m in means.items()}

    @property
    def best_rival(self) -> str:
        """The rival that does best."""
        means = {n: float(v.mean()) for n, v in self.losses.items() if n != THIS}
        return min(means, key=means.__getitem__)

    @property
    def is_settled(self) -> bool:
        """Whether the difference to the best rival is beyond its 95% interval over the rows."""
        difference = self.losses[THIS] - self.losses[self.best_rival]
        if len(difference) < 2:
            return False
        half = 1.96 * float(difference.std(ddof=1)) / math.sqrt(len(difference))
        return bool(abs(difference.mean()) > half)


def verdict_of(
    taught: Targets,
    truth: Targets,
    predicted: Targets,
    before: Targets,
    half_width: float | None = None,
) -> TableVerdict:
    """The errors of predictions for query rows, beside those of rivals.

    Args:
        taught: ``[support rows]``, their targets: numbers, or labels as objects.
        truth: ``[rows]``, the targets of the query rows.
        predicted: ``[rows]``, by the model.
        before: ``[rows]``, by the model in 0 inner steps.
        half_width: Of the interval of a prediction.

    >>> taught, truth = np.array([1.0, 3.0]), np.array([2.0, 5.0])
    >>> verdict_of(taught, truth, predicted=truth + 1, before=truth + 3).values
    {'adapted': 1.0, 'no_adaptation': 3.0, 'support_mean': 2.1213203435596424}
    """
    name = "support_mean" if taught.dtype != object else "support_majority"
    constant = np.full(len(truth), middle_of(taught), taught.dtype)
    methods = {THIS: predicted, "no_adaptation": before, name: constant}
    return TableVerdict.of(truth, methods, half_width)


def verdict_left_out(
    taught: Targets, places: list[int], found: Targets, before: Targets
) -> TableVerdict:
    """The errors for support rows, each predicted by what was learned from the others.

    Args:
        taught: ``[support rows]``, their targets.
        places: The rows that were left out in turn.
        found: ``[places]``, by the model.
        before: ``[places]``, by the model in 0 inner steps.
    """
    name = "support_mean" if taught.dtype != object else "support_majority"
    others = np.array([middle_of(np.delete(taught, place)) for place in places], taught.dtype)
    methods = {THIS: found, "no_adaptation": before, name: others}
    return replace(TableVerdict.of(taught[places], methods), left_out=True)


def middle_of(taught: Targets) -> Any:
    """The mean of numbers, or the commonest label."""
    if taught.dtype != object:
        return taught.mean()
    ((commonest, _),) = Counter(taught.tolist()).most_common(1)
    return commonest
