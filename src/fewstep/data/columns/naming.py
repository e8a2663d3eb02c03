"""Rows and columns of a table, and their names for people."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from fewstep.errors import InputError

FILE = "file"  # the column that tells of which file of a folder a row is
ROWS_A_FILE = 1 << 32  # the index of a folder's table counts on by this with each file
LONGEST = 60  # text that a message shows
MOST = 20  # columns that a message lists


class EmptyTableError(InputError):
    """A table without rows."""


def load_pandas() -> Any:
    """Import pandas, where the extra for tables is installed."""
    try:
        import pandas
    except ImportError as error:
        raise InputError(
            'tables need pandas, which is not installed; pip install "fewstep[tables]"'
        ) from error
    return pandas


def factorize(column: Any) -> tuple[Any, list[Any]]:
    """The number of each row's value, -1 for none, and the different values.

    Raises:
        InputError: They cannot be compared, as lists cannot.
    """
    try:
        codes, values = load_pandas().factorize(column)
    except (TypeError, NotImplementedError) as error:
        raise InputError(
            f"column {column.name!r} holds neither numbers, texts nor dates; leave it out"
        ) from error
    return codes, list(values)


def shown(text: str) -> str:
    """A text in quotation marks, on one line and not too long for a message."""
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def listed(texts: Sequence[str], most: int) -> str:
    """The first of some texts, on one line."""
    lines = [" ".join(text.split()) for text in texts[:most]]
    short = [line if len(line) <= LONGEST else f"{line[:LONGEST]}..." for line in lines]
    more = len(texts) - most
    return ", ".join(short) + (f" and {more:,} more" if more > 0 else "")


def row_name(frame: Any, place: int) -> str:
    """Name of the row at a place: its number in its file, or its place in a DataFrame."""
    label = frame.index[place]
    try:
        number = int(label) % ROWS_A_FILE
    except (TypeError, ValueError):
        number = place
    return f"row {number}" + (f" of {frame[FILE].iloc[place]}" if is_of_files(frame) else "")


def is_of_files(frame: Any) -> bool:
    """Whether a table is that of a folder, where `FILE` is no column of the user's own."""
    return FILE in frame and len(frame) > 0 and frame.index[0] >= ROWS_A_FILE


def row_names(frame: Any, places: Any) -> str:
    """Names of a few rows."""
    named = [row_name(frame, int(place)) for place in places[:3]]
    more = f" and {len(places) - 3:,} more" if len(places) > 3 else ""
    return ", ".join([named[0], *(name.removeprefix("row ") for name in named[1:])]) + more


def check_column(frame: Any, name: str, role: str) -> None:
    """See that a column is there, of a role such as ``"target"``.

    Raises:
        InputError: It is not; the message names the nearest.
    """
    # Of a table of thousands of columns it would take long to list them for each.
    if name in frame.columns:
        return
    columns = [str(column) for column in frame.columns]
    if name in columns:
        return
    lower = {column.lower(): column for column in reversed(columns)}
    near = get_close_matches(name.lower(), lower, 1)
    meant = f"did you mean {lower[near[0]]!r}? " if near else ""
    told = listed(columns, MOST)
    raise InputError(f"no column {name!r} for the {role}; {meant}the columns are {told}")
