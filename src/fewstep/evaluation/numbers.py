"""Numbers of results as text, of the same digits wherever they are shown."""

import math


def shown(metric: str, value: float, ci95: float = math.nan) -> str:
    """A metric as text: an accuracy in percent with one decimal, another with three digits.

    Half its 95% interval comes behind where it is finite: a single task has none.
    """
    percent = metric == "accuracy"
    mean = f"{value:.1%}" if percent else _digits(value, 3)
    half = f"{ci95:.1%}" if percent else _digits(ci95, 2)
    return f"{mean} ± {half}" if math.isfinite(ci95) else mean


def _digits(value: float, number: int) -> str:
    return f"{value:#.{number}g}".rstrip(".")
