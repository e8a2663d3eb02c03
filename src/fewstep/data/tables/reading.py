"""Reads a table: a file, a folder of files, or a DataFrame."""

import gzip
import io
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewstep.data.columns.naming import FILE as FILE
from fewstep.data.columns.naming import ROWS_A_FILE, EmptyTableError, listed, load_pandas
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.columns.written_numbers import read_numbers
from fewstep.data.tables.text import Parsed, check_names, parse_text
from fewstep.errors import InputError, first_line

SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet")
WORKBOOKS = (".xls", ".xlsx", ".ods")
ZIP = b"PK\x03\x04"  # of a workbook, too
PARQUET, GZIP = b"PAR1", b"\x1f\x8b"


@dataclass(frozen=True)
class TableFrame:
    """A table that was read.

    Attributes:
        frame: A pandas DataFrame, a row an example. Its index tells the row's number: in a file as
            a person counts, where the header is row 1, and of a DataFrame from 0.
        notes: Lines on how it was read, for people.
        name: Of the file or the folder, or ``"table"``.
        decimal: The decimal mark of numbers that stand as texts.
    """

    frame: Any
    notes: tuple[str, ...]
    name: str
    decimal: str = "."

    def with_numbers(self, how: TablePreparation) -> "TableFrame":
        """The table with numbers where columns have them as texts, such as 1,234 or 57%.

        Raises:
            InputError: One is written in two ways.
        """
        marks = dict(how.decimal_marks)
        found = read_numbers(self.frame, how.numbers, self.decimal, marks)
        found.check(how.numbers)
        return replace(self, frame=found.frame, notes=(*self.notes, *found.notes))


def read_table(source: Any) -> TableFrame:
    """Read a table.

    Args:
        source: Path of a CSV, TSV or Parquet file, CSV compressed by gzip too, or of a folder of
            such files of the same columns; a DataFrame of pandas or polars; or a dict of columns.

    Returns:
        The table. That of a folder has one more column, `FILE`: the file's name without its ending.

    Raises:
        InputError: It cannot be read.
    """
    if not isinstance(source, str | os.PathLike):
        return TableFrame(_of_object(source), (), "table")
    path = Path(source)
    if _is_folder(path):
        return _read_folder(path)
    read = _read_file(path, str(path))
    notes = tuple(f"{path.name}: {note}" for note in read.notes)
    return TableFrame(read.frame, notes, path.name, read.decimal)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def _of_object(source: Any) -> Any:
    pd = load_pandas()
    if type(source).__module__.split(".")[0] == "polars":
        source = source.collect() if hasattr(source, "collect") else source
        source = {column.name: column.to_numpy() for column in source}
    if isinstance(source, Mapping):
        try:
            source = pd.DataFrame(source)
        except ValueError as error:
            raise InputError(f"the dict is no table ({first_line(error)})") from error
    if not isinstance(source, pd.DataFrame):
        raise InputError(
            f"a table is a {type(source).__name__}; expected a path, a DataFrame of pandas or "
            "polars, or a dict of columns"
        )
    # What somebody has named is a column; what pandas has numbered is not.
    named = any(name is not None for name in source.index.names)
    frame = source.reset_index() if named else source.reset_index(drop=True)
    names = [str(name).strip() for name in frame.columns]
    check_names(names, "the table")
    if not len(frame):
        raise EmptyTableError("the table has no rows; expected at least one")
    return frame.set_axis(names, axis=1)


def _read_folder(folder: Path) -> TableFrame:
    """Table of all files of a folder, which have the same columns."""
    pd = load_pandas()
    try:
        paths = sorted(p for p in folder.iterdir() if p.name.lower().endswith(SUFFIXES))
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror})") from error
    paths = [path for path in paths if not path.name.startswith(".")]
    if not paths:
        raise InputError(f"{folder} holds no tables; expected files of {', '.join(SUFFIXES)}")
    stems = [path.name.split(".")[0] or path.name for path in paths]
    names = stems if len({*stems}) == len(stems) else [path.name for path in paths]
    frames: list[Any] = []
    decimals = set[str]()
    first: Path | None = None  # of those that have rows
    told: dict[str, list[str]] = {}
    for path, name in zip(paths, names, strict=True):
        try:
            frame, notes, decimal = _read_file(path, str(path))
        except EmptyTableError:
            told.setdefault("left out, as there are no rows", []).append(path.name)
            continue
        first = first or path
        if frames:
            _check_alike(frame, path, frames[0], first)
        if FILE in frame:
            raise InputError(f"{path} has a column {FILE!r}, which names the files; rename it")
        frame.index += (len(frames) + 1) * ROWS_A_FILE
        frames.append(frame.assign(**{FILE: name}))
        decimals.add(decimal)
        for note in notes:
            told.setdefault(note, []).append(path.name)
    if not frames:
        raise InputError(f"{folder} holds no table with rows")
    lines = [f"{listed(files, 3)}: {note}" for note, files in told.items()]
    lines.insert(0, f"{folder.name} has {len(frames):,} files")
    mark = "," if "," in decimals else "."
    return TableFrame(pd.concat(frames), tuple(lines), folder.name, mark)


def _check_alike(frame: Any, path: Path, first: Any, first_path: Path) -> None:
    """See that a file has the columns of the first one."""
    columns = [name for name in first.columns if name != FILE]
    for name in (*columns, *frame.columns):
        if name not in frame or name not in columns:
            has = f"no column {name!r}, which {first_path.name} has"
            if name in frame:
                has = f"a column {name!r}, which {first_path.name} lacks"
            raise InputError(f"{path} has {has}; expected the same columns in every file")


def _read_file(path: Path, name: str) -> Parsed:
    """Table of a file, by its content rather than its name."""
    content = _content(path)
    if content.startswith(ZIP) or path.suffix.lower() in WORKBOOKS:
        raise InputError(f"{name} is a workbook or an archive; save the table as CSV")
    if content.startswith(PARQUET):
        return Parsed(_parse_parquet(content, name), [], ".")
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{name} cannot be unpacked ({first_line(error)})") from error
    return parse_text(content, name)


def _content(path: Path) -> bytes:
    """Bytes of a file that nobody changed meanwhile."""
    try:
        before = path.stat()
        content = path.read_bytes()
        after = path.stat()
    except (OSError, ValueError) as error:  # the second of names with a zero byte
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"{path} cannot be read ({reason})") from error
    state = (before.st_size, before.st_mtime_ns)
    if state != (after.st_size, after.st_mtime_ns) or len(content) != before.st_size:
        raise InputError(f"{path} changed while it was read; run again when it is complete")
    return content


def _parse_parquet(content: bytes, name: str) -> Any:
    """Table of a Parquet file, whose rows count from 1."""
    pd = load_pandas()
    try:
        frame = _of_object(pd.read_parquet(io.BytesIO(content)))
    except ImportError as error:
        raise InputError('Parquet needs pyarrow; pip install "fewstep[tables]"') from error
    except EmptyTableError:
        raise EmptyTableError(f"{name} has no rows; expected at least one") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{name} is no Parquet that can be read ({first_line(error)})") from error
    frame.index += 1
    return frame
