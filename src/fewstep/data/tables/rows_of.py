"""Rows of a table given in any form, as a frame: files, frames, columns by name, arrays."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from fewstep.data.columns.naming import MOST, listed, load_pandas
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.reading import TableFrame, read_table
from fewstep.errors import InputError, first_line


def frame_of(x: Any, preparation: TablePreparation) -> Any:
    """The rows as a frame of pandas that has the input columns.

    Args:
        x: A frame of pandas or polars, the path of a file, ``{column: values}``, a list of
            ``{column: value}``, or an array of the input columns in order.
        preparation: Of the table that the network was trained on.

    Raises:
        InputError: It is none of these, or a column is missing.
    """
    read = _read(x, preparation.inputs)
    check_columns(list(map(str, read.frame.columns)), preparation.inputs)
    return read.with_numbers(preparation).frame


def check_columns(there: Sequence[str], needed: Sequence[str], source: str = "the table") -> None:
    """See that no column is missing; `InputError` names all that are, and the nearest names."""
    missing = [name for name in needed if name not in there]
    if not missing:
        return
    spare = [name for name in there if name not in needed]
    named = []
    for name in missing:
        near = difflib.get_close_matches(name, spare, n=1)
        folded = [one for one in spare if one.strip().casefold() == name.strip().casefold()]
        near = folded[:1] or near
        named.append(repr(name) + (f" (did you mean {near[0]!r}?)" if near else ""))
    columns = "column" if len(missing) == 1 else "columns"
    raise InputError(
        f"{source} has no {columns} {', '.join(named)}; it has "
        f"{listed(there, MOST) or 'none'}, and the model needs {', '.join(needed)}"
    )


def _read(x: Any, inputs: tuple[str, ...]) -> TableFrame:
    if isinstance(x, TableFrame):
        return x
    if isinstance(x, str | Path) or type(x).__name__ in ("DataFrame", "LazyFrame"):
        return read_table(x)
    return TableFrame(_frame(x, inputs), (), "the table")


def _frame(x: Any, inputs: tuple[str, ...]) -> Any:
    pd = load_pandas()
    if isinstance(x, Mapping):
        values = {str(name): column for name, column in x.items()}
        if values and all(np.ndim(column) == 0 for column in values.values()):
            values = {name: [value] for name, value in values.items()}
        try:
            return pd.DataFrame(values)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"the columns make no table ({first_line(error)}); expected as many values in each"
            ) from error
    if isinstance(x, list | tuple) and x and all(isinstance(row, Mapping) for row in x):
        return pd.DataFrame(list(x))
    array = x.detach().cpu().numpy() if isinstance(x, Tensor) else x
    try:
        array = np.asarray(array, dtype=None if hasattr(array, "dtype") else object)
    except ValueError as error:
        raise InputError(
            f"x makes no table ({first_line(error)}); expected rows of the same length"
        ) from error
    if array.ndim != 2 or array.shape[1] != len(inputs):
        raise InputError(
            f"x is a {type(x).__name__} of shape {list(array.shape)}; expected a table with the "
            f"columns {', '.join(inputs)}, or an array [rows, {len(inputs)}] of these in order"
        )
    return pd.DataFrame(
        {name: array[:, place] for place, name in enumerate(inputs)}
    ).infer_objects()
