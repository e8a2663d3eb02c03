"""The target of a table: a number, or classes with labels."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.kinds import (
    Floats,
    as_booleans,
    as_codes,
    as_codes_of,
    as_numbers,
    is_missing,
    kind_of,
)
from fewstep.data.columns.naming import factorize, listed, row_name, row_names, shown
from fewstep.data.columns.written_numbers import with_unit
from fewstep.errors import InputError

TargetKind = Literal["regression", "classification"]
Label = str | int | float | bool
"""Label of a class, as the table has it."""
FEW = 20  # classes that even a small table may have


def check_target(frame: Any, target: str, kind: TargetKind | None) -> None:
    """See that a whole table's target can be what it is said to be, before tasks are split.

    Raises:
        InputError: It cannot.
    """
    if kind is not None and kind not in get_args(TargetKind):
        raise InputError(
            f"kind is {kind!r}; expected {' or '.join(map(repr, get_args(TargetKind)))}"
        )
    if is_missing(frame[target]).all():
        return  # which is told in other words
    if kind is None and kind_of(frame[target]) == "category" and (unit := with_unit(frame[target])):
        values = len(as_codes(frame[target])[1])
        raise InputError(
            f"target {target!r} has {values:,} different values such as {shown(unit)}: numbers "
            "with a unit; take the unit away, or give kind='classification' in Python"
        )
    if (kind or target_kind(frame, target)) == "classification":
        target_classes(frame, target)
    else:
        target_numbers(frame, target)


def target_kind(frame: Any, target: str) -> TargetKind:
    """Regression of a number; classification of texts, of yes and no, and of 0 and 1.

    Raises:
        InputError: It is a date.
    """
    kind = kind_of(frame[target])
    if kind == "date":
        raise InputError(f"target {target!r} is a date; expected a number or classes")
    if kind == "number":
        values = as_numbers(frame, target)
        known = values[~np.isnan(values)]
        both = len(known) and known.min() == 0 and known.max() == 1
        return "classification" if both and np.isin(known, (0, 1)).all() else "regression"
    return "classification"


def target_numbers(frame: Any, target: str) -> Floats:
    """Targets of a regression, NaN where they are missing."""
    boolean = kind_of(frame[target]) == "boolean"
    return as_booleans(frame, target) if boolean else as_numbers(frame, target)


def target_classes(frame: Any, target: str) -> tuple[Label, ...]:
    """Labels of a classification, in order.

    Raises:
        InputError: There is one, or nearly one a row.
    """
    codes, texts = as_codes(frame[target])
    if len(texts) < 2:
        told = f"{shown(texts[0])} in all rows that have it" if texts else "missing in all rows"
        raise InputError(f"target {target!r} is {told}; expected one that differs")
    if len(texts) > max(FEW, int((codes >= 0).sum()) / 2):
        raise InputError(
            f"target {target!r} has {len(texts):,} different values in {len(codes):,} rows; "
            "expected classes, or a number"
        )
    values = factorize(frame[target])[1]
    if all(isinstance(value, bool | np.bool_) for value in values):
        return (False, True)
    if all(isinstance(value, int | float | np.number) for value in values):
        numbers = sorted(float(text) for text in texts)
        return tuple(int(n) if n.is_integer() else n for n in numbers)
    return tuple(sorted(texts))


def class_numbers(frame: Any, target: str, classes: tuple[Label, ...]) -> npt.NDArray[np.int64]:
    """Number ``[rows]`` of each row's class.

    Raises:
        InputError: It is missing, or of none of these classes.
    """
    codes, texts = as_codes_of(frame[target], classes)
    check_known(frame, target, codes < 0)
    places = {str(label): number for number, label in enumerate(classes)}
    found = np.array([places.get(text, -1) for text in texts], np.int64)[codes]
    if (found < 0).any():
        place = int((found < 0).argmax())
        raise InputError(
            f"target {target!r}, {row_name(frame, place)}: {shown(texts[codes[place]])} is no "
            f"class of the training rows, which are {some(classes)}"
        )
    return found


def check_known(frame: Any, target: str, missing: npt.NDArray[np.bool_]) -> None:
    """See that no row lacks the target.

    Raises:
        InputError: Some do.
    """
    if missing.any():
        rows = row_names(frame, np.flatnonzero(missing))
        raise InputError(f"target {target!r} is missing in {rows}; leave these rows out")


def some(labels: tuple[Label, ...]) -> str:
    """The first of some labels."""
    return listed([str(label) for label in labels], 5)
