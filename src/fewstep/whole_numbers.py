"""Whole numbers of any kind as Python's own, which JSON and generators of random numbers take."""

import operator
from typing import Any


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
    except TypeError:
        return None
