"""Kinds of columns of a table, and their values as numbers, dates or texts."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fewstep.errors import InputError

Kind = Literal["number", "boolean", "date", "category"]
Floats = npt.NDArray[np.float64]


def load_pandas() -> Any:
    """Import pandas, where the extra for tables is installed."""
    try:
        import pandas
    except ImportError as error:
        raise InputError(
            'tables need pandas, which is not installed; pip install "fewstep[tables]"'
        ) from error
    return pandas


def kind_of(column: Any) -> Kind:
    """Kind of a column of a DataFrame."""
    types = load_pandas().api.types
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_datetime64_any_dtype(column.dtype):
        return "date"
    return "number" if types.is_numeric_dtype(column.dtype) else "category"


def as_numbers(column: Any) -> Floats:
    """Values of a column, NaN where they are missing."""
    values: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def as_texts(column: Any) -> Any:
    """Values of a column as texts, ``None`` where they are missing."""
    return column.astype(object).map(str, na_action="ignore").to_numpy(dtype=object, na_value=None)
