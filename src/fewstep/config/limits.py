"""The rules beside a setting, in its ``Annotated`` type, and the checks of all settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

from tyro.conf import arg

from fewstep.errors import InputError


@dataclass(frozen=True)
class Range:
    """The numbers that make sense for a setting; None is always among them."""

    expected: str
    fits: Callable[[float], bool]


@dataclass(frozen=True)
class Limit:
    """The most that any machine has memory for, or that anyone trains."""

    most: int


@dataclass(frozen=True)
class Only:
    """The values of another setting beside which this one has an effect; the first is proposed."""

    other: str
    values: tuple[str, ...] | range


FREE = "does not decide the training: may differ when a run goes on"


def _shown(expected: str, metavar: str | None = None) -> object:
    """The range and the default for the help, where a default of None is left to the text."""
    both = f"({expected}; default: %s)"
    hint = {"None": f"({expected})"}
    return arg(metavar=metavar, help_behavior_hint=lambda given: hint.get(given, both % given))


_ONE, _ZERO = Range("1 or more", lambda v: v >= 1), Range("0 or more", lambda v: v >= 0)
# Beyond it float32 overflows, with errors of other libraries.
_RATE = Range("more than 0 and at most 1e30", lambda v: 0 < v <= 1e30)
_SHARE = Range("a share of the outer steps, 0 to 1", lambda v: 0 <= v <= 1)
_DECAY = Range("at least 0 and less than 1", lambda v: 0 <= v < 1)
_STRENGTH = Range("0 to 1", lambda v: 0 <= v <= 1)
_SEED = Range("at least 0 and less than 2**63", lambda v: 0 <= v < 2**63)

Count = Annotated[int, _ONE, _shown(_ONE.expected)]
OptionalCount = Annotated[int | None, _ONE, _shown(_ONE.expected, "INT")]
Number = Annotated[int, _ZERO, _shown(_ZERO.expected)]
Rate = Annotated[float, _RATE, _shown("more than 0")]
Share = Annotated[float, _SHARE, _shown("0 to 1")]
Decay = Annotated[float, _DECAY, _shown(_DECAY.expected)]
Strength = Annotated[float, _STRENGTH, _shown(_STRENGTH.expected)]
Seed = Annotated[int, _SEED, _shown(_ZERO.expected)]
OptionalSeed = Annotated[int | None, _SEED, _shown(_ZERO.expected, "INT")]


def _rules(kind: type) -> Mapping[str, tuple[Any, ...]]:
    """The rules beside each setting of a dataclass, by its name."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}


rules: Callable[[type], Mapping[str, tuple[Any, ...]]] = cache(_rules)


def check_numbers(settings: object, least: float = math.inf) -> None:
    """See that numbers are in range, and at most at their limit where none is below ``least``."""
    for name, of_setting in rules(type(settings)).items():
        value = getattr(settings, name)
        if isinstance(value, int) and abs(value) > 2**63:
            raise InputError(f"{name} has {len(str(abs(value)))} digits; expected at most 2**63")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{name} is {value}; expected a finite number")
        for rule in of_setting if value is not None else ():
            if isinstance(rule, Range) and not rule.fits(value):
                raise InputError(f"{name} is {value}; expected {rule.expected}")
            if isinstance(rule, Limit) and value > max(rule.most, least):
                raise InputError(f"{name} is {value}; expected at most {max(rule.most, least)}")
