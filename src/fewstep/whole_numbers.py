"""Whole numbers: of any kind as Python's own, which JSON and generators take, and in words."""

import operator
from typing import Any

from fewstep.errors import InputError


def as_whole(value: Any) -> int | None:
    """The number as an ``int``, be it NumPy's or a tensor; None where it is no whole number.

    >>> import numpy as np
    >>> as_whole(np.int64(3)), as_whole(3.0), as_whole(True)
    (3, None, None)
    """
    of_truth = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "torch.bool"
    if of_truth or getattr(value, "ndim", 0) != 0:
        return None
    try:
        return operator.index(value)
    except (TypeError, RuntimeError):  # the latter of a tensor without values
        return None


def check_whole(name: str, given: object, least: float = 0) -> int:
    """See that a setting is a whole number that is large enough."""
    number = as_whole(given)
    if number is None:
        raise InputError(f"{name} is {given!r}, a {type(given).__name__}; expected a whole number")
    if number < least:
        raise InputError(f"{name} is {given}; expected {least} or more")
    return number


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things in words; ``many`` is the plural where it is not ``one`` with an s.

    >>> counted(1, "row"), counted(3, "row"), counted(2, "class", "classes")
    ('1 row', '3 rows', '2 classes')
    """
    return f"1 {one}" if number == 1 else f"{number} {many or one + 's'}"
