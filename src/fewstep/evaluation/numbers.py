"""Numbers of results as text, of the same digits wherever they are shown."""

import math
from decimal import ROUND_HALF_UP, Context, Decimal

ROOTS = frozenset({"rmse"})
"""Metrics that are roots of means. Of several draws of a task it is the squares that have a mean:
otherwise the figure would depend on how many query rows are drawn, and be the absolute error of
one."""


def averaged(metric: str) -> str:
    """How a figure is averaged, for the line under it.

    >>> averaged("rmse")
    'the rmse of a task over all its draws; mean ± 95% interval over tasks'
    """
    over = f"the {metric} of a task over all its draws; " if metric in ROOTS else ""
    return f"{over}mean ± 95% interval over tasks"


def rows_up_to(most: int) -> str:
    """The most query rows of a task, in words."""
    return "1 query row" if most == 1 else f"up to {most} query rows"


def shown(metric: str, value: float, ci95: float = math.nan) -> str:
    """A metric as text: an accuracy in percent with one decimal, another with three digits.

    Half its 95% interval comes behind where it is finite: a single task has none.
    """
    percent = metric == "accuracy"
    mean = in_percent(value) if percent else _digits(value, 3)
    half = in_percent(ci95) if percent else _digits(ci95, 2)
    return f"{mean} ± {half}" if math.isfinite(ci95) else mean


def in_percent(share: float) -> str:
    """A share as text. Half of the last digit is rounded up, whatever noise float32 left.

    >>> in_percent(0.9925), in_percent(0.99249998)
    ('99.3%', '99.3%')
    """
    if not math.isfinite(share):
        return f"{share:.1%}"
    # Six digits, as results are kept in files: the same result is the same text.
    value = Decimal(f"{share:.6g}") * 100
    return f"{value.quantize(Decimal('0.1'), ROUND_HALF_UP)}%"


def _digits(value: float, number: int) -> str:
    if math.isfinite(value):
        exact = Context(prec=number, rounding=ROUND_HALF_UP)
        value = float(exact.create_decimal(f"{value:.6g}"))
    return f"{value:#.{number}g}".rstrip(".")


def share_interval(right: int, of: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927), which holds for few examples as well.

    >>> low, high = share_interval(24, 25)
    >>> f"{low:.3f} {high:.3f}"
    '0.805 0.993'
    """
    z, share = 1.96, right / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def student(freedom: int) -> float:
    """The 97.5% quantile of Student's t: half a 95% interval in standard errors, few as they are.

    Cornish and Fisher's expansion, Abramowitz and Stegun 1964, 26.7.5; within 0.2%.

    Args:
        freedom: One less than the values of which there is the mean.

    >>> [round(student(freedom), 2) for freedom in (1, 5, 599)]
    [12.71, 2.57, 1.96]
    """
    if freedom == 1:
        return math.tan(0.475 * math.pi)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    z = 1.959964
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))
