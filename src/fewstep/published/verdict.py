"""Whether two measured accuracies agree, both of which are known to within an interval."""

import math
from dataclasses import dataclass
from typing import Literal

Word = Literal["agrees", "higher", "lower"]

MEANING = (
    "agrees: the difference is within the root of the summed squares of both intervals, where 95% "
    "of the differences lie between two measurements of equal models on other tasks; that both are "
    "equal is not shown by it"
)


@dataclass(frozen=True)
class Verdict:
    """An accuracy held against an expected one.

    Attributes:
        word: Whether it agrees, or is higher or lower by more than both intervals explain.
        difference: How much higher it is; a fraction.
        bound: The difference that both intervals explain.
    """

    word: Word
    difference: float
    bound: float

    @property
    def told(self) -> str:
        """The verdict with its figures, in percentage points."""
        inside = "within" if self.word == "agrees" else "beyond"
        return f"{self.word} ({100 * self.difference:+.2f} points, {inside} {100 * self.bound:.2f})"


def held_against(own: tuple[float, float], expected: tuple[float, float]) -> Verdict:
    """Hold an accuracy against an expected one, each with half its 95% interval.

    >>> held_against((0.987, 0.003), (0.990, 0.004)).told
    'agrees (-0.30 points, within 0.50)'
    >>> held_against((0.980, 0.003), (0.990, 0.004)).word
    'lower'
    """
    difference, bound = own[0] - expected[0], math.hypot(own[1], expected[1])
    # Rounding of the files must not decide.
    if abs(difference) <= bound + 1e-9:
        return Verdict("agrees", difference, bound)
    return Verdict("higher" if difference > 0 else "lower", difference, bound)


def together(figures: list[tuple[float, float]]) -> tuple[float, float]:
    """The mean over seeds, and half its 95% interval over all of their tasks.

    >>> together([(0.98, 0.003), (0.99, 0.004)])
    (0.985, 0.0025)
    """
    means, halves = zip(*figures, strict=True)
    return sum(means) / len(means), math.hypot(*halves) / len(means)
