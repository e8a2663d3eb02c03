"""A user's own file of rows of one task: to learn from, or to predict."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fewstep.data.columns.kinds import as_codes
from fewstep.data.columns.naming import listed, row_names
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.reading import TableFrame, read_table
from fewstep.data.tables.rows_of import check_columns
from fewstep.data.tables.text import parse_text
from fewstep.errors import InputError

MOST_NAMED = 5  # tasks


@dataclass(frozen=True, eq=False)
class OwnRows:
    """Rows of one task.

    Attributes:
        table: As the file has them.
        notes: What a user should know of them.
        task: The task that they tell they are of; None where they do not.
        known: ``[rows]``, whether a row has a target; None where there is no such column.
    """

    table: TableFrame
    notes: tuple[str, ...]
    task: str | None
    known: npt.NDArray[np.bool_] | None

    @property
    def frame(self) -> Any:
        """The rows, a DataFrame."""
        return self.table.frame

    def only(self, which: npt.NDArray[np.bool_]) -> TableFrame:
        """The rows of which this is true."""
        return replace(self.table, frame=self.frame[which])


def read_rows(path: Path, how: TablePreparation, task: str | None) -> OwnRows:
    """Read a file with the input columns and, perhaps, the target.

    Args:
        path: Of a CSV or Parquet file.
        how: How rows were prepared in training.
        task: The column that told the tasks in training; it may be missing here.

    Raises:
        InputError: It cannot be read, has no rows, lacks a column, or has rows of several tasks.
    """
    if path.is_dir():
        raise InputError(
            f"{path} is a folder; the model takes rows of a table: give a CSV or Parquet file"
        )
    return _rows_of(read_table(path), how, task, str(path))


def _rows_of(read: TableFrame, how: TablePreparation, task: str | None, name: str) -> OwnRows:
    columns = list(map(str, read.frame.columns))
    check_columns(columns, how.inputs, name)
    read = read.with_numbers(how)
    frame = read.frame
    if len(frame) == 0:
        raise InputError(f"{name} has no rows; expected at least one below the names of columns")
    known = None
    if how.target in columns:
        known = ~frame[how.target].isna().to_numpy()
        known = known if known.any() else None
    return OwnRows(read, read.notes, _task_of(frame, task, name), known)


def read_support(path: Path, how: TablePreparation, task: str | None) -> OwnRows:
    """Read rows to learn from; those without a target are left out, and told.

    Raises:
        InputError: As in `read_rows`, or no row has a target.
    """
    rows = read_rows(path, how, task)
    check_columns(list(map(str, rows.frame.columns)), (how.target,), str(path))
    if rows.known is None:
        raise InputError(f"no row of {path} has a {how.target}; give at least one that has")
    frame, notes = rows.frame, list(rows.notes)
    missing = np.flatnonzero(~rows.known)
    if len(missing):
        told = row_names(frame, missing)
        notes.append(f"left out: {told} of {path}, without {how.target}")
        frame = frame[rows.known]
    twice = int(frame.duplicated([*how.inputs, how.target]).sum())
    if twice:
        notes.append(
            f"{path} has {twice} {'row' if twice == 1 else 'rows'} twice; each weighs as often as "
            "it is given, and where it is left out its copies stay: such errors are too small"
        )
    table = rows.only(rows.known)
    return replace(rows, table=table, notes=tuple(notes), known=np.ones(len(frame), bool))


def read_query(source: Path | bytes, how: TablePreparation, task: str | None) -> OwnRows:
    """Read rows to predict, of a file or of what stood on standard input.

    Raises:
        InputError: As in `read_rows`.
    """
    if isinstance(source, bytes):
        frame, notes, decimal = parse_text(source, "standard input")
        read = TableFrame(frame, tuple(notes), "standard input", decimal)
        return _rows_of(read, how, task, "standard input")
    return read_rows(source, how, task)


def given_twice(support: OwnRows, query: OwnRows, how: TablePreparation) -> str:
    """A sentence where query rows are support rows, too; "" where none is."""
    if query.known is None:
        return ""
    taught = set(_rows_as_texts(support.frame, how))
    many = sum(row in taught for row in _rows_as_texts(query.frame, how))
    if not many:
        return ""
    if many == 1:
        return "a query row is a support row, too: what is predicted for it is no test"
    return f"{many} query rows are support rows, too: what is predicted for them is no test"


def _rows_as_texts(frame: Any, how: TablePreparation) -> list[tuple[str | None, ...]]:
    """The inputs and the target of each row; None where one is missing, which equals itself."""
    columns = []
    for name in (*how.inputs, how.target):
        codes, texts = as_codes(frame[name])
        columns.append([None if code < 0 else texts[code] for code in codes])
    return list(zip(*columns, strict=True))


def target_warnings(query: OwnRows, how: TablePreparation) -> list[str]:
    """Lines on targets to judge by that are far from those of the training rows."""
    if query.known is None:
        return []
    return how.target_warnings(query.only(query.known).frame)


def check_one_task(support: OwnRows, query: OwnRows, task: str | None) -> None:
    """See that the rows to predict are not said to be of another task than those to learn from."""
    if None not in (support.task, query.task) and support.task != query.task:
        raise InputError(
            f"the support rows are of {task} {support.task} and the query rows of {query.task}; "
            "expected rows of one task"
        )


def _task_of(frame: Any, task: str | None, name: str) -> str | None:
    if task is None or task not in frame.columns:
        return None
    tasks = as_codes(frame[task])[1]
    if len(tasks) > 1:
        raise InputError(
            f"{name} has rows of {len(tasks)} tasks by its column {task!r}: "
            f"{listed(tasks, MOST_NAMED)}; give the rows of one"
        )
    return tasks[0] if tasks else None
