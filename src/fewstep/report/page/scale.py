"""Axes of a chart: where their ticks stand, and how numbers are written there."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Numbers from ``low`` to ``high`` as places from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    whole: bool = False

    def __call__(self, value: float) -> float:
        """The place of a number; one that lies outside stands at the edge.

        >>> Scale(0, 10, 100, 200)(2.5)
        125.0
        """
        low, high, value = (self._of(number) for number in (self.low, self.high, value))
        share = (min(max(value, low), high) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.logarithmic else value

    @property
    def ticks(self) -> list[float]:
        """Some three to six round numbers, or powers of ten."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, (last - first) // 5)
            return [10.0**power for power in range(first, last + 1, every)]
        return [tick for tick in ticks(self.low, self.high) if not self.whole or tick % 1 == 0]


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, in equal steps.

    >>> ticks(0, 7), ticks(0.2, 1)
    ([0.0, 2.0, 4.0, 6.0], [0.2, 0.4, 0.6, 0.8, 1.0])
    """
    step = _round_step((high - low) / 6)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= least * 0.999)


def bounds(
    values: Iterable[float], *, zero: bool, most: float | None = None
) -> tuple[float, float]:
    """The least and the largest of the numbers that are finite, a little apart.

    Args:
        values: Any; without a finite one it is 0 to 1.
        zero: Begin at zero where none is below.
        most: Do not end above this.

    >>> bounds([2.0, float("nan"), 4.0], zero=True)
    (0.0, 4.2)
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    low = 0.0 if zero and low >= 0 else low
    if high == low:
        high += abs(high) or 1.0
    room = 0.05 * (high - low)
    low = low if low == 0 else low - room
    return low, high + room if most is None else min(high + room, most)


def number(value: float, percent: bool = False) -> str:
    """A number at a tick.

    >>> number(0.25, percent=True), number(20000.0), number(0.001), number(float("nan"))
    ('25%', '20,000', '0.001', 'not finite')
    """
    if not math.isfinite(value):
        return "not finite"
    if percent:
        return f"{100 * value:.4g}%"
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"
