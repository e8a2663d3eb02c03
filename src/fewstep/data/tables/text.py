"""Reads a table from text: which encoding, separator and decimal mark it has."""

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from fewstep.data.columns.kinds import MISSING_MARKS, is_number
from fewstep.data.columns.naming import EmptyTableError, load_pandas, shown
from fewstep.errors import InputError, first_line

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "|", ",": "commas"}
HEAD = 1 << 16  # bytes that show how a file is written
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_TOLD = re.compile(r"sep=(.)\r?\n")  # the first line that Excel writes for itself
_EMPTY_ROW = re.compile(r"\n[ \t]*\r?\n")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?")


class Parsed(NamedTuple):
    """A table that stood in a text.

    Attributes:
        frame: Its index is the number of the row in the file, where the header is row 1.
        notes: Lines on how it was read.
        decimal: The decimal mark, a point or a comma.
    """

    frame: Any
    notes: list[str]
    decimal: str


def parse_text(content: bytes, name: str) -> Parsed:
    """Table of a file's content.

    Raises:
        InputError: It holds no table.
    """
    pd = load_pandas()
    text, notes = _decoded(content, name)
    if not text or text.isspace():
        raise EmptyTableError(f"{name} is empty; expected a table with a header")
    told = _TOLD.match(text)
    text = text[told.end() :] if told else text
    head = text[:HEAD] if len(text) <= HEAD else text[: text.rfind("\n", 0, HEAD) + 1]
    separator = told[1] if told else _separator(head, name)
    first, *rows = _rows(head, separator)
    header = _header(first, name)
    decimal = "," if separator != "," and _has_decimal_commas(rows, separator) else "."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                _stream(text),
                **{"sep": separator, "decimal": decimal, "index_col": False},
                **{"na_values": MISSING_MARKS, "keep_default_na": False},
                **{"skipinitialspace": True, "low_memory": False},
            )
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        _check_rows(text, separator, header, name)
        raise InputError(f"{name} is no table that can be read ({first_line(error)})") from error
    frame.columns, frame.index = header, pd.RangeIndex(2, len(frame) + 2)
    # A row that is too short seems to end with missing values, and empty rows are left out.
    if len(header) > 1 and (frame.iloc[:, -1].isna().any() or _EMPTY_ROW.search(text)):
        numbers = _check_rows(text, separator, header, name)
        frame.index = numbers if len(numbers) == len(frame) else frame.index
        frame = frame[frame.notna().any(axis=1)]
    if not len(frame):
        raise EmptyTableError(f"{name} has a header and no rows; expected at least one")
    if told:
        frame.index += 1
    if separator != ("\t" if name.lower().removesuffix(".gz").endswith(".tsv") else ","):
        notes.append(f"separated by {SEPARATORS.get(separator, separator)}")
    if decimal == ",":
        notes.append("numbers have decimal commas")
    elif separator != ",":
        notes += _unsure_points(header, rows)
    return Parsed(frame, notes, decimal)


def written_rows(content: bytes, name: str) -> list[list[str]]:
    """The cells of a file's content as they are written, the header first; no empty rows.

    Raises:
        InputError: It is no text.
    """
    text, _ = _decoded(content, name)
    told = _TOLD.match(text)
    text = text[told.end() :] if told else text
    return list(_rows(text, told[1] if told else _separator(text[:HEAD], name)))


def _decoded(content: bytes, name: str) -> tuple[str, list[str]]:
    """Text of a file, and a note where its encoding had to be found out."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return content.decode("utf-16"), ["read as UTF-16"]
        except UnicodeDecodeError:
            raise InputError(f"{name} is no text; expected a table as CSV or Parquet") from None
    sample = content[: 1 << 20]
    if b"\0" in sample or len(_CONTROL.findall(sample)) > 0.01 * len(sample):
        raise InputError(
            f"{name} is no text; expected a table as CSV, in UTF-8 or another usual encoding, or "
            "as Parquet"
        )
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        encoding = "gb18030" if _is_chinese(content) else "cp1252"
    note = f"read as {encoding}, as it is not UTF-8; save it as UTF-8 if letters are wrong"
    try:
        return content.decode(encoding), [note]
    except UnicodeDecodeError:
        return content.decode("latin-1"), [note.replace(encoding, "latin-1")]


def _is_chinese(content: bytes) -> bool:
    """Whether bytes are GB18030 rather than one of the encodings of a byte a letter.

    Nearly all Chinese text is in characters of GB 2312's first level and signs, of two high bytes,
    the first at most 0xD7. In Western text an accented small letter is 0xE0 or more, and stands
    alone between letters of ASCII.
    """
    sample = content[: 1 << 20]
    try:
        sample.decode("gb18030")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:  # where the sample ends, a character may
            return False
    high = sum(byte >= 0x80 for byte in sample)
    return 2 * len(re.findall(rb"[\xa1-\xd7][\xa1-\xfe]", sample)) > 0.8 * high


def _stream(text: str) -> io.TextIOWrapper:
    """The text as a file in UTF-8: `io.StringIO` takes four bytes a letter."""
    return io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="\n")


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """Rows of a text that are not empty."""
    reader = csv.reader(_stream(text), delimiter=separator, skipinitialspace=True)
    return (row for row in reader if any(cell.strip() for cell in row))


def _separator(head: str, name: str) -> str:
    """The separator of the cells: it gives most rows as many cells as the header, and the most."""

    def cells(separator: str) -> float:
        try:
            widths = [len(row) for row in _rows(head, separator)]
        except csv.Error:
            return 0
        alike = sum(width == widths[0] for width in widths) / len(widths)
        return alike * widths[0] if widths[0] > 1 else 0

    best = max(SEPARATORS, key=cells)
    if cells(best):
        return best
    rows = [line.split() for line in head.splitlines() if line.strip()]
    if len({*map(len, rows)}) == 1 < len(rows[0]) and is_number(rows[-1][-1]):
        raise InputError(
            f"{name} seems to be separated by spaces ({' '.join(rows[0][:5])}); expected commas, "
            "semicolons, tabs or |"
        )
    return ","


def _header(row: list[str], name: str) -> list[str]:
    """Names of the columns."""
    if len(row) > 2 and row[0].strip() and not "".join(row[1:]).strip():
        raise InputError(
            f"{name} begins with {shown(' '.join(row).strip())} and no names of columns; where the "
            "header stands further down, remove the lines above it"
        )
    names = [" ".join(cell.split()) or f"Unnamed: {place}" for place, cell in enumerate(row)]
    if all(map(is_number, names)):
        raise InputError(
            f"{name} begins with numbers ({', '.join(names[:3])}); expected a header with the "
            "names of the columns"
        )
    check_names(names, name)
    return names


def check_names(names: list[str], name: str) -> None:
    """See that no two columns have the same name."""
    for column, times in Counter(names).items():
        if times > 1:
            raise InputError(f"{name} has {times} columns {column!r}; rename them")


def _check_rows(text: str, separator: str, header: list[str], name: str) -> list[int]:
    """Numbers of the rows that pandas keeps; all of them have as many cells as the header."""
    numbers: list[int] = []
    first = None
    try:
        for number, row in enumerate(csv.reader(_stream(text), delimiter=separator), 1):
            if len(row) < 2 and not "".join(row).strip():
                continue
            first = first or number
            if number > first and len(row) != len(header) and "".join(row).strip():
                below = _header_below(text, separator, len(header))
                cure = "a cell is missing, or has a separator in it and no quotes"
                if below:
                    cure = f"if the header is row {below}, remove the lines above it"
                raise InputError(
                    f"{name}, row {number}: {len(row)} cells, and the header has {len(header)} "
                    f"({', '.join(header[:5])}); {cure}"
                )
            numbers.append(number)
    except csv.Error as error:
        raise InputError(f"{name} is no table that can be read ({error})") from error
    return numbers[1:]


def _header_below(text: str, separator: str, cells: int) -> int | None:
    """Number of the row that may be the header, where nearly all rows have more cells than it."""
    rows = list(islice(csv.reader(_stream(text), delimiter=separator), 100))
    (usual, times), *_ = Counter(len(row) for row in rows if row).most_common(1)
    if usual <= cells or 2 * times <= len(rows):
        return None
    return next(number for number, row in enumerate(rows, 1) if len(row) == usual)


def _has_decimal_commas(rows: list[list[str]], separator: str) -> bool:
    """Whether the cells that are numbers show that a comma is their decimal mark."""
    cells = [cell for row in rows for cell in row]
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell.strip())]
    points = [cell for cell in cells if _DECIMAL_POINT.fullmatch(cell.strip())]
    # The point in 1.234 may stand between thousands, so it tells less of its being a decimal mark.
    unsure = sum(bool(re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", cell.strip())) for cell in points)
    weight = len(points) - unsure + unsure / 5
    # Beside tabs, as in 1,234 and 5,678, it may also stand between thousands.
    thousands = separator != ";" and all(re.fullmatch(r".*,\d{3}", cell.strip()) for cell in commas)
    return len(commas) > weight and not thousands


def _unsure_points(header: list[str], rows: list[list[str]]) -> list[str]:
    """Notes on columns such as 987 and 1.234, where the point may stand between thousands.

    Where commas separate the cells, it hardly does; nor where others have decimal commas.
    """
    notes = []
    for place, name in enumerate(header):
        cells = [row[place].strip() for row in rows if place < len(row)]
        points = [cell for cell in cells if "." in cell]
        hundreds = next((cell for cell in cells if re.fullmatch(r"[1-9]\d\d", cell)), None)
        fits = all(re.fullmatch(r"-?([1-9]\d{0,2}(\.\d{3})*)?", cell) for cell in cells)
        if points and hundreds and fits:
            notes.append(
                f"column {name!r} has {hundreds} and {points[0]}, read with a decimal point; where "
                "the point stands between thousands, take it away"
            )
    return notes
