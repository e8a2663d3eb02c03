"""Kinds of columns of a table, and their values as numbers, truth values or texts."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.dates import as_days, date_format
from fewstep.data.columns.naming import factorize, load_pandas, row_name, shown
from fewstep.errors import InputError

Kind = Literal["number", "boolean", "date", "category"]
Floats = npt.NDArray[np.float64]
MOSTLY = 0.75  # a column with so many numbers, or dates, is one of numbers, and others are mistakes
FEW = 10  # different whole numbers, which may be categories beside texts
MAX_LEVELS = 50  # of a category; rarer ones are "other"
BOOLEANS = (("no", "yes"), ("false", "true"), ("n", "y"), ("f", "t"))
MISSING_MARKS = (
    *("", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "NULL", "null", "None"),  # so far as pandas does
    *("?", ".", "-", "--"),
)
"""Cells of a text that stand for a missing value."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.I)


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    return bool(_NUMBER.fullmatch(text.strip()))


def kind_of(column: Any) -> Kind:
    """Kind of a column of a DataFrame.

    Texts are categories, except where they are yes and no, dates, or nearly all numbers: then the
    others are mistakes, of which `as_numbers` tells.

    Raises:
        InputError: It holds complex numbers.
    """
    types = load_pandas().api.types
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_datetime64_any_dtype(column.dtype):
        return "date"
    if isinstance(column.dtype, load_pandas().CategoricalDtype):
        return "category"
    if types.is_complex_dtype(column.dtype):
        raise InputError(
            f"column {column.name!r} holds complex numbers; give real and imaginary part as columns"
        )
    if types.is_numeric_dtype(column.dtype):
        return "number"
    codes, values = factorize(column)
    return _kind_of_values(values, np.bincount(codes[codes >= 0], minlength=len(values)))


def _kind_of_values(values: list[Any], counts: npt.NDArray[np.intp]) -> Kind:
    """Kind of a column of texts, or of Python objects, by its different values."""
    texts = [text_of(value) for value in values]
    if not texts:
        return "category"
    if any({text.lower() for text in texts} <= {*pair} for pair in BOOLEANS):
        return "boolean"
    if date_format(texts):
        return "date"
    numeric = np.array([is_number(text) for text in texts])
    share = float(counts[numeric].sum() / counts.sum())
    numbers = [text for text, ok in zip(texts, numeric, strict=True) if ok]
    whole = all(re.fullmatch(r"[+-]?\d+", text) for text in numbers)
    if share == 1:
        is_text = any(isinstance(value, str) for value in values)
        return "category" if is_text and whole and len(texts) <= MAX_LEVELS else "number"
    many = len(numbers) > min(FEW, counts[numeric].sum() / 2)
    return "number" if share >= MOSTLY and (many or not whole or share >= 0.98) else "category"


def text_of(value: Any) -> str:
    """A value as text; a whole number is the same whether it is stored as 1 or 1.0."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def as_codes(column: Any) -> tuple[npt.NDArray[np.intp], list[str]]:
    """The different texts of a column, and for each row the number of its one, -1 for none."""
    pd = load_pandas()
    codes, values = factorize(column)
    texts = [text_of(value) for value in values]
    places, levels = pd.factorize(np.array([text or None for text in texts], dtype=object))
    return np.where(codes < 0, -1, np.append(places, -1)[codes]), list(levels)


def as_codes_of(column: Any, levels: Sequence[Any]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Codes as of `as_codes`, where a number is the one text among these levels that it stands for.

    A file whose codes are all numbers is read as numbers, 01 as 1, whatever others there were in
    training.
    """
    codes, texts = as_codes(column)
    if not load_pandas().api.types.is_numeric_dtype(column.dtype):
        return codes, texts
    known = {str(level) for level in levels}
    of_number: dict[float, list[str]] = {}
    for level in filter(is_number, known):
        of_number.setdefault(float(level), []).append(level)
    same = [of_number.get(float(text), []) if is_number(text) else [] for text in texts]
    return codes, [
        found[0] if text not in known and len(found) == 1 else text
        for text, found in zip(texts, same, strict=True)
    ]


def is_missing(column: Any) -> npt.NDArray[np.bool_]:
    """Which rows lack a value."""
    if load_pandas().api.types.is_numeric_dtype(column.dtype):
        return np.asarray(column.isna(), bool)  # of a million different numbers much faster
    return as_codes(column)[0] < 0


def as_numbers(frame: Any, name: str) -> Floats:
    """Values of a column as numbers, NaN where they are missing.

    Raises:
        InputError: One is no number, or is infinite.
    """
    pd = load_pandas()
    column = frame[name]
    if pd.api.types.is_numeric_dtype(column.dtype):
        values: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        codes, texts = as_codes(column)
        found = [float(text) if is_number(text) else np.nan for text in texts]
        values = np.array([*found, np.nan])[codes]
        wrong = np.isnan(values) & (codes >= 0)
        if wrong.any():
            raise _no_number(frame, name, int(wrong.argmax()), texts[codes[wrong.argmax()]], wrong)
    if np.isinf(values).any():
        place = int(np.isinf(values).argmax())
        raise InputError(
            f"column {name!r}, {row_name(frame, place)}: {values[place]}; expected a finite "
            "number; correct it, or leave it empty where it is not known"
        )
    return values


def as_times(frame: Any, name: str) -> Floats:
    """Values of a column that orders rows: numbers, or days of dates; NaN where they are missing.

    Raises:
        InputError: One is neither.
    """
    if kind_of(frame[name]) != "date":
        return as_numbers(frame, name)
    return as_days(frame, name, date_format(as_codes(frame[name])[1]))


def _no_number(
    frame: Any, name: str, place: int, text: str, wrong: npt.NDArray[np.bool_]
) -> InputError:
    others = int(wrong.sum()) - 1
    more = f" (nor are {others:,} more)" if others else ""
    return InputError(
        f"column {name!r}, {row_name(frame, place)}: {shown(text)} is no number{more}; correct "
        "it, or leave it empty where it is not known"
    )


def as_booleans(frame: Any, name: str) -> Floats:
    """Values of a column as 0 and 1, NaN where they are missing.

    Raises:
        InputError: One is neither.
    """
    codes, texts = as_codes(frame[name])
    words = {word: float(value) for pair in BOOLEANS for value, word in enumerate(pair)}
    words |= {"0": 0.0, "1": 1.0}
    values = np.array([*(words.get(text.lower(), np.nan) for text in texts), np.nan])[codes]
    wrong = np.isnan(values) & (codes >= 0)
    if wrong.any():
        place = int(wrong.argmax())
        raise InputError(
            f"column {name!r}, {row_name(frame, place)}: {shown(texts[codes[place]])}; expected "
            "yes or no, as in training"
        )
    return values
