"""The interval of a run's predictions as a file, ``interval.json``: how far they are off."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewstep.errors import InputError
from fewstep.evaluation.conformal import LEVEL, Interval
from fewstep.files import read_json_object, rounded


def read_half_widths(path: Path) -> dict[int, float] | None:
    """Half the width of a prediction's 95% interval, by the number of support rows.

    Returns:
        In the unit of the target; None where there is no file.

    Raises:
        InputError: The file is damaged.
    """
    remedy = "remove it, and train in the same run directory again: that makes it anew"
    try:
        told = read_json_object(path, remedy).get("half_widths")
    except FileNotFoundError:
        return None
    try:
        widths = {int(rows): float(width) for rows, width in dict(told or {}).items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} has half_widths {told!r}; {remedy}") from error
    if any(rows < 1 or not 0 <= width < math.inf for rows, width in widths.items()):
        raise InputError(f"{path} has half_widths {told!r}; {remedy}")
    return widths or None


def read_coverage(path: Path) -> dict[int, float] | None:
    """Share of the rows of test tasks that the intervals held, by the number of support rows.

    It is no part of a prediction: of a file without it, or with something else, it is not known.
    """
    try:
        told = read_json_object(path, "").get("coverage")
        shares = {int(rows): float(share) for rows, share in dict(told or {}).items()}
    except (OSError, InputError, TypeError, ValueError):
        return None
    return shares if shares and all(0 <= share <= 1 for share in shares.values()) else None


def interval_as_json(found: Sequence[Interval], steps: int) -> dict[str, Any]:
    """Half widths and their coverage as JSON values, by the number of support rows."""
    told = {
        "level": LEVEL,
        "half_widths": {str(one.rows): one.half_width for one in found},
        "coverage": {str(one.rows): one.coverage.mean for one in found},
        "coverage_ci95": {str(one.rows): one.coverage.ci95 for one in found},
        # As many as the share is over; few of them tell little.
        "tasks": max(one.tasks for one in found),
        "steps": steps,
    }
    result: dict[str, Any] = rounded(told)
    return result
