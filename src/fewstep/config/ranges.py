"""The range of each number of a config."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fewstep.errors import InputError

TOO_LARGE = 2**63
"""What neither PyTorch nor NumPy takes as a whole number."""


def check_ranges(settings: Mapping[str, Any]) -> None:
    """See that each number is in its range; None is in every range.

    Raises:
        InputError: Names the setting and its range.
    """
    for name, value in settings.items():
        if isinstance(value, int) and abs(value) > TOO_LARGE:
            # Of all of its digits some are enough; Python writes no more than some thousands.
            raise InputError(f"{name} has {len(str(abs(value)))} digits; expected at most 2**63")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} is {value}; expected a finite number")
    for names, fits, expected in _RANGES:
        for name in names:
            value = settings[name]
            if value is not None and not fits(value):
                raise InputError(f"{name} is {value}; expected {expected}")


def check_sizes(settings: Mapping[str, Any]) -> None:
    """See that the sizes of tensors in a file were ever trained.

    Far larger ones overflow, with errors of other libraries, before memory is short.

    Raises:
        InputError: Names the setting and its limit.
    """
    for name in _SIZES:
        value = settings[name]
        if value is not None and value > LARGEST:
            raise InputError(f"{name} is {value}; expected at most {LARGEST}")


def check_limits(settings: Mapping[str, Any]) -> None:
    """See that a new run asks for no more than any machine has memory for.

    Far beyond all that anyone trains: the system would refuse such memory, or worse, promise it
    and end the process. Not for the config of a run that there is.

    Raises:
        InputError: Names the setting and its limit.
    """
    for name, limit in _LIMITS.items():
        value = settings[name]
        if value is not None and value > limit:
            raise InputError(f"{name} is {value}; expected at most {limit}")


_COUNTS = (
    "filters",
    "n_way",
    "k_shot",
    "q_query",
    "test_k_shot",
    "test_q_query",
    "inner_steps",
    "test_inner_steps",
    "meta_batch",
    "steps",
    "val_every",
    "val_tasks",
    "test_tasks",
    "checkpoint_every",
)
_SIZES = ("filters", "context", "k_shot", "q_query", "test_k_shot", "test_q_query")
LARGEST = 2**20
_RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (_COUNTS, lambda value: value >= 1, "1 or more"),
    (
        ("inner_lr", "outer_lr"),
        # Beyond it float32 overflows, with errors of other libraries.
        lambda value: 0 < value <= 1e30,
        "more than 0 and at most 1e30",
    ),
    (("averaging",), lambda value: 0 <= value < 1, "at least 0 and less than 1"),
    (
        ("first_order", "multi_step_loss"),
        lambda value: 0 <= value <= 1,
        "a share of the outer steps, 0 to 1",
    ),
    (("context", "workers", "patience"), lambda value: value >= 0, "0 or more"),
    (("seed",), lambda value: 0 <= value < 2**63, "at least 0 and less than 2**63"),
)

_LIMITS = {
    "filters": 4096,
    "context": 65_536,
    "workers": 1024,
    "steps": 10_000_000,
    **dict.fromkeys(("k_shot", "q_query", "test_k_shot", "test_q_query"), 10_000),
    **dict.fromkeys(("meta_batch", "inner_steps", "test_inner_steps"), 10_000),
}
