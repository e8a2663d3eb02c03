"""The calibration of a run as a file, ``calibration.json``: how its probabilities are made."""

import math
from pathlib import Path
from typing import Any, TypeGuard

from fewstep.choices import Norm
from fewstep.errors import InputError
from fewstep.evaluation.calibrated import Calibration
from fewstep.files import read_json_object, rounded


def calibration_as_json(found: Calibration, norm: Norm, steps: int, tasks: int) -> dict[str, Any]:
    """The temperature and the threshold as JSON values, with what they do on validation tasks."""
    threshold = found.threshold
    return {
        # Not rounded: probabilities may differ in the last digits before 1 alone.
        "temperature": found.temperature,
        "threshold": threshold and threshold.threshold,
        "norm": norm,
        "steps": steps,
        "tasks": tasks,
        "ece_before": rounded(found.ece_before),
        "ece_after": rounded(found.ece_after),
        "known_kept": threshold and rounded(threshold.known_kept),
        "absent_refused": threshold and rounded(threshold.absent_refused),
    }


def read_calibration(path: Path) -> tuple[float, float | None]:
    """The temperature and the threshold of a run; 1 and None where there is no file.

    Raises:
        InputError: The file is damaged.
    """
    remedy = "remove it, and train in the same run directory again: that makes it anew"
    try:
        told = read_json_object(path, remedy)
    except FileNotFoundError:
        return 1.0, None
    temperature, threshold = told.get("temperature"), told.get("threshold")
    if not _is_positive(temperature):
        raise InputError(f"{path} has the temperature {temperature!r}; {remedy}")
    if threshold is not None and not _is_positive(threshold):
        raise InputError(f"{path} has the threshold {threshold!r}; {remedy}")
    return temperature, threshold


def _is_positive(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 < value < math.inf
