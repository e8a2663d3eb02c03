"""Numbers that a table has as texts: with thousands marks, a percent sign, decimal commas, a unit.

Each column is decided as a whole, since 1,234 alone may be 1234 as well as 1.234.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Number
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fewstep.data.columns.dates import date_format
from fewstep.data.columns.kinds import FEW, MOSTLY, is_number
from fewstep.data.columns.naming import factorize, load_pandas, row_name, shown
from fewstep.errors import InputError

NEARLY_ALL = 0.95  # numbers with a unit, or of the decimal mark that the table does not have
_SAMPLE = 1000
_SPACES = "'\u2019 \u00a0\u202f"  # between thousands, whatever the decimal mark is
_MINUS = "\u2212"  # as typesetters write it
_PERCENT = re.compile(r"\s*%$")
_LIKE_NUMBER = re.compile(rf"[\d.,%eE+\-{_MINUS}{_SPACES}]+")
_WITH_UNIT = re.compile(rf"[€$£¥]?\s*[+\-{_MINUS}]?[\d.,]*\d(\s*[^\d\s.,:;/+\-][^,;]{{0,19}})?")


class Numbers(NamedTuple):
    """A table whose numbers are numbers.

    Attributes:
        frame: The table.
        notes: Lines on what was understood.
        doubts: Why a column cannot be understood, by its name.
        marks: The decimal mark of each column that was read so, by its name.
    """

    frame: Any
    notes: tuple[str, ...]
    doubts: dict[str, str]
    marks: dict[str, str]

    def check(self, names: Iterable[str]) -> None:
        """See that there is no doubt about columns that are used.

        Raises:
            InputError: There is one.
        """
        for name in names:
            if name in self.doubts:
                raise InputError(self.doubts[name])


def read_numbers(
    frame: Any,
    names: Iterable[str],
    decimal: str = ".",
    marks: Mapping[str, str] = MappingProxyType({}),
) -> Numbers:
    """Read columns of texts as the numbers that they are, where that is unambiguous.

    Args:
        frame: A table, which stays as it is.
        names: Of the columns that may be numbers: one that names the tasks may not.
        decimal: The decimal mark of the table, a point or a comma.
        marks: Those of columns where they are known, as from the table that was trained on: in a
            few rows, 1,136 may be either number.
    """
    types = load_pandas().api.types
    changed: dict[str, Any] = {}
    doubts: dict[str, str] = {}
    told: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for name in names:
        kind = frame[name].dtype if name in frame else None
        if kind is None or not (types.is_object_dtype(kind) or types.is_string_dtype(kind)):
            continue
        try:
            codes, values = factorize(frame[name])
            if not _may_be_numbers(values):
                continue
            mark = marks.get(name, decimal)
            cells = [_Cell.of(value, mark) for value in values]
            how = _decided(frame, name, codes, cells, mark)
        except InputError as doubt:
            doubts[name] = str(doubt)
            continue
        if how:
            found[name] = how.mark
            read = [cell.read(how.mark) for cell in cells]
            changed[name] = _column(read, codes, frame)
            written = [n for n, cell in enumerate(cells) if cell.is_written]
            grouped = re.compile(_thousands(how.mark))
            example = next((n for n in written if grouped.search(cells[n].text)), written[0])
            said = f"{name} ({shown(cells[example].text)} is {float(read[example]):.12g})"
            told.setdefault(how.words, []).append(said)
    notes = tuple(f"{words}: {', '.join(columns)}" for words, columns in told.items())
    return Numbers(frame.assign(**changed) if changed else frame, notes, doubts, found)


def _may_be_numbers(values: Sequence[Any]) -> bool:
    """Whether half of the texts of a column look like numbers, by some of them."""
    texts = [text for value in values if isinstance(value, str) and (text := value.strip())]
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    return 2 * sum(bool(_LIKE_NUMBER.fullmatch(text)) for text in sample) >= len(sample)


def with_unit(column: Any) -> str | None:
    """A text of a column that is nearly all numbers with a unit; None of others.

    A few different ones, as 10 mg and 20 mg, are good categories.
    """
    codes, values = factorize(column)
    if len(values) <= FEW or not all(isinstance(value, str) for value in values):
        return None
    found = [_WITH_UNIT.fullmatch(value.strip()) for value in values]
    units = {(match[1] or "").strip() for match in found if match}
    known = np.array([match is not None for match in found])[codes[codes >= 0]]
    # Endings of numbers, such as 1st and 2nd, or 3a and 3b, are no unit.
    if known.mean() < NEARLY_ALL or units == {""} or len(units) > FEW / 2:
        return None
    if date_format(values):
        return None
    return next(match[0] for match in found if match and (match[1] or "").strip())


@dataclass(frozen=True)
class _Cell:
    """A different value of a column.

    Attributes:
        value: As the table has it.
        text: Without spaces around it.
        ours: Whether it is a number by the decimal mark of the table.
        other: Whether it is one by the other mark.
        is_written: Whether Python does not take it for the number that it is.
    """

    value: Any
    text: str
    ours: bool
    other: bool
    is_written: bool

    @classmethod
    def of(cls, value: Any, decimal: str) -> "_Cell":
        if not isinstance(value, str):
            known = isinstance(value, Number)
            return cls(value, str(value), ours=known, other=known, is_written=False)
        text = value.strip()
        bare = _PERCENT.sub("", text)
        ours, other = (
            bool(_convention(mark).fullmatch(bare)) for mark in (decimal, _other(decimal))
        )
        plain = is_number(text) and not (decimal == "," and "." in text)
        return cls(value, text, ours, other, is_written=(ours or other) and not plain)

    @property
    def has_percent(self) -> bool:
        return self.text.endswith("%")

    def read(self, mark: str) -> Any:
        """The number; the value itself where it is none."""
        if not (self.ours or self.other) or not isinstance(self.value, str):
            return self.value
        text = re.sub(rf"[{_SPACES}{_other(mark)}]", "", _PERCENT.sub("", self.text))
        return float(text.replace(mark, ".").replace(_MINUS, "-"))


class _How(NamedTuple):
    """How the numbers of a column are written: their decimal mark, and what is told of it."""

    mark: str
    words: str


def _decided(frame: Any, name: str, codes: Any, cells: list[_Cell], decimal: str) -> _How | None:
    """How a column is to be read; None where it is to stay as it is."""
    texts = [cell.text for cell in cells if isinstance(cell.value, str) and cell.text]
    if not any(cell.is_written for cell in cells):
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(cells))
    numbers = [n for n, cell in enumerate(cells) if cell.ours or cell.other]
    share = counts[numbers].sum() / sum(counts[n] for n, cell in enumerate(cells) if cell.text)
    if share < MOSTLY or date_format(texts):
        return None

    def at(number: int) -> str:
        return f"{shown(cells[number].text)} in {row_name(frame, int((codes == number).argmax()))}"

    def differ(one: list[int], two: list[int], what: str) -> InputError:
        return InputError(
            f"column {name!r} has {at(one[0])} and {at(two[0])}: {what}; write all in one way, or "
            "leave the column out"
        )

    percent = [n for n in numbers if cells[n].has_percent]
    if percent and len(percent) < len(numbers):
        rest = [n for n in numbers if n not in percent]
        raise differ(percent, rest, "some have a percent sign and some have none")
    strange = [n for n in numbers if not cells[n].ours]
    if not strange:
        marked = any(re.search(_thousands(decimal), cells[n].text) for n in numbers)
        words = "thousands marks" if marked else f"a decimal {_NAMES[decimal]}"
        return _How(decimal, f"numbers with {'a percent sign' if percent else words}")
    ours = [n for n in numbers if not cells[n].other]
    # As 1.5 beside 1.234, which is 1234 by the decimal commas of the other columns.
    unsure = [n for n in numbers if cells[n].ours and decimal == "," and "." in cells[n].text]
    if ours or unsure:
        raise differ(ours or unsure, strange, "a comma or a point may be the decimal mark")
    # Several choices in a cell, as in 1,3 and 1,2,4, are no numbers.
    if share < NEARLY_ALL:
        return None
    mark = _other(decimal)
    return _How(mark, f"numbers with a {'percent sign' if percent else f'decimal {_NAMES[mark]}'}")


_NAMES = {".": "point", ",": "comma"}


def _column(read: list[Any], codes: Any, frame: Any) -> Any:
    """A column of these different values: of numbers, where each of them is one."""
    pd = load_pandas()
    if all(not isinstance(value, str) or not value.strip() for value in read):
        numbers = [np.nan if isinstance(value, str) else float(value) for value in read]
        return pd.Series(np.array([*numbers, np.nan])[codes], frame.index)
    return pd.Series(np.array([*read, None], object)[codes], frame.index, dtype=object)


@cache
def _convention(decimal: str) -> re.Pattern[str]:
    """Numbers with one decimal mark, where the other may stand between groups of three digits."""
    mark, sign = re.escape(decimal), rf"[+\-{_MINUS}]?"
    whole = rf"(?:\d+|{_thousands(decimal)})"
    return re.compile(rf"{sign}(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?")


def _thousands(decimal: str) -> str:
    """Groups of three digits, with one mark between all of them."""
    mark = rf"[{_other(decimal)}{_SPACES}]"
    return rf"[1-9]\d{{0,2}}(?P<mark>{mark})\d{{3}}(?:(?P=mark)\d{{3}})*(?!\d)"


def _other(decimal: str) -> str:
    return "," if decimal == "." else "."
