"""The range of each number of a config."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fewstep.errors import InputError


def check_ranges(settings: Mapping[str, Any]) -> None:
    """See that each number is in its range; None is in every range.

    Raises:
        InputError: Names the setting and its range.
    """
    for names, fits, expected in _RANGES:
        for name in names:
            value = settings[name]
            if value is not None and not fits(value):
                raise InputError(f"{name} is {value}; expected {expected}")


# Each test is such that NaN fails it. The largest values are beyond all that anyone trains, and
# below what a machine would ask its memory for in vain, or worse, get and not have.
_RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (
        ("n_way", "val_every", "val_tasks", "test_tasks", "checkpoint_every"),
        lambda value: value >= 1,
        "1 or more",
    ),
    (("filters",), lambda value: 1 <= value <= 4096, "1 or more, at most 4096"),
    (
        (
            *("k_shot", "q_query", "test_k_shot", "test_q_query", "meta_batch"),
            *("inner_steps", "test_inner_steps"),
        ),
        lambda value: 1 <= value <= 10_000,
        "1 or more, at most 10000",
    ),
    (("steps",), lambda value: 1 <= value <= 10**7, "1 or more, at most 10000000"),
    (("context",), lambda value: 0 <= value <= 2**16, "0 or more, at most 65536"),
    (("workers",), lambda value: 0 <= value <= 1024, "0 or more, at most 1024"),
    (("inner_lr", "outer_lr"), lambda value: 0 < value < math.inf, "more than 0, and finite"),
    (("averaging",), lambda value: 0 <= value < 1, "at least 0 and less than 1"),
    (
        ("first_order", "multi_step_loss"),
        lambda value: 0 <= value <= 1,
        "a share of the outer steps, 0 to 1",
    ),
    (("patience",), lambda value: value >= 0, "0 or more"),
    (("seed",), lambda value: 0 <= value < 2**63, "at least 0 and less than 2**63"),
)
