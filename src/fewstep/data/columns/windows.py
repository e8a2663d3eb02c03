"""Windows of a series: a row with the rows before it, in order of time."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.kinds import as_times
from fewstep.data.columns.naming import check_column, row_name
from fewstep.errors import InputError

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def window_rows(last: Integers, first: Integers, window: int) -> Integers:
    """Numbers of the rows of windows, ``int64 [..., window]``, in order.

    A series that has not so many rows yet is filled up with its first one in front. How much time
    lies between rows does not count.

    Args:
        last: ``[...]``, the last row of each window, whose target it is.
        first: The first row of the series that it is in, to be broadcast with ``last``.
        window: Rows of a window.

    >>> window_rows(np.array([10, 11, 15]), np.array([10, 10, 10]), window=3).tolist()
    [[10, 10, 10], [10, 10, 11], [13, 14, 15]]
    """
    rows: Integers = last[..., None] + np.arange(1 - window, 1)
    return np.maximum(rows, first[..., None])


def windows_of(
    x: npt.NDArray[np.float32], times: Floats | None, window: int
) -> npt.NDArray[np.float32]:
    """The window of each row of one series, ``[rows, window, features]``.

    Where rows are in order of time it is a view, which takes no memory for a window.

    Args:
        x: ``[rows, features]``.
        times: ``[rows]``; None for rows that are in order.
        window: Rows of a window.
    """
    order = np.arange(len(x)) if times is None else np.argsort(times, kind="stable")
    in_order = bool((np.diff(order) == 1).all())
    ordered = x if in_order else x[order]
    filled = np.concatenate([np.repeat(ordered[:1], window - 1, 0), ordered])
    found = np.lib.stride_tricks.sliding_window_view(filled, window, 0, writeable=True)
    view: npt.NDArray[np.float32] = found.transpose(0, 2, 1)
    return view if in_order else view[np.argsort(order)]


def times_of(frame: Any, name: str) -> Floats:
    """When each row was, as numbers or days, ``[rows]``.

    Raises:
        InputError: The column is missing, or holds neither numbers nor dates.
    """
    check_column(frame, name, "time")
    # Whole numbers that stand as texts count as categories elsewhere.
    times = as_times(frame, name)
    missing = np.isnan(times)
    if missing.any():
        raise InputError(
            f"column {name!r}, {row_name(frame, int(missing.argmax()))}: no time; fill it in, or "
            "leave the row out"
        )
    return times
