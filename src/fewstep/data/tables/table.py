"""Table: tasks that stand in one table, or in a folder of tables, to split and to draw from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fewstep.choices import Split
from fewstep.data.class_split import draw_split, numbers_by_name, split_sizes, usual_sizes
from fewstep.data.columns.kinds import as_codes
from fewstep.data.columns.naming import listed
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.columns.target import TargetKind, check_target
from fewstep.data.columns.windows import times_of
from fewstep.data.columns.written_numbers import read_numbers
from fewstep.data.source import SPLITS
from fewstep.data.tables.choice import choose_inputs, known_rows
from fewstep.data.tables.reading import FILE, read_table
from fewstep.data.tables.rows import Integers, TableRows
from fewstep.data.tables.tasks import TableTasks
from fewstep.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


class Table:
    """Rows of many tasks: of schools, patients, machines or sites.

    Args:
        source: A path to a CSV, TSV or Parquet file, a folder of such files with one a task, or a
            DataFrame of pandas or polars, which stays as it is.
        task: The column that tells which task a row is of; left out for a folder.
        target: The column to predict.
        inputs: The columns to predict it from; all others unless given.
        time: The column that tells the order of a task's rows, numbers or dates, where they are a
            series: it adapts to some rows, and predicts later ones.
        window: How many rows make one example: the row that is predicted and those before it,
            whatever time lies between them. Before its first row a series is that row. A single
            row unless given.
        kind: ``"regression"`` or ``"classification"``, what the target is; by default as its values
            tell: 0 and 1, yes and no and texts are classes.

    Attributes:
        name: Of the file or folder.
        notes: What was noticed while it was read, a sentence each.

    Raises:
        InputError: It cannot be read, or a column is missing.

    >>> import pandas as pd
    >>> rows = {"school": list("aabbccddeeffgg"), "hours": range(14), "score": range(14)}
    >>> table = Table(pd.DataFrame(rows), task="school", target="score")
    >>> table
    <7 tasks, 14 rows, target score of hours>
    >>> train, val, test = table.split(0.6, 0.2, 0.2, seed=0)
    >>> train.tasks(k_shot=1, q_query=1).batch(range(4)).support_x.shape
    torch.Size([4, 1, 1])
    """

    def __init__(
        self,
        source: Any,
        task: str | None = None,
        target: str | None = None,
        inputs: Sequence[str] | None = None,
        time: str | None = None,
        window: int | None = None,
        kind: TargetKind | None = None,
    ) -> None:
        # A DataFrame may have numbers as names of columns.
        task, target, time = (name if name is None else str(name) for name in (task, target, time))
        if inputs is not None and not isinstance(inputs, str):
            inputs = list(map(str, inputs))
        in_files = isinstance(source, str | Path) and Path(source).is_dir()
        if target is None:
            raise InputError("no target is given; name the column to predict, as in target='score'")
        if task is None and not in_files:
            raise InputError(
                "no task is given; name the column that tells which task a row is of, as in "
                "task='school', or give a folder with a file a task"
            )
        read = read_table(source)
        self.name, self.part = read.name, SPLITS[0]
        self.task, self.target, self.time, self.window = task or FILE, target, time, window
        self.kind = kind
        # Names of tasks stay as they are written: a run knows them by that.
        others = [name for name in read.frame if name not in (self.task, FILE)]
        numbers = read_numbers(read.frame, others, read.decimal)
        self.inputs, notes = choose_inputs(numbers.frame, target, self.task, inputs, time)
        numbers.check([target, *self.inputs, *([] if time is None else [time])])
        own = [self.task, target, *(() if time is None else [time])]
        frame, dropped = known_rows(numbers.frame, own)
        check_target(frame, target, kind)
        self.frame, self.names, self.offsets = _by_task(frame, self.task, time)
        seen = (*_twice(frame), *_alike(self.names))
        self.notes = (*read.notes, *numbers.notes, *notes, *dropped, *seen)
        used = {target, *self.inputs, *own}
        self._marks = tuple((n, mark) for n, mark in numbers.marks.items() if n in used)
        self._given: TablePreparation | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        of = ", ".join(self.inputs) if len(self.inputs) <= 4 else f"{len(self.inputs)} columns"
        tasks = f"{len(self):,} {'task' if len(self) == 1 else 'tasks'}"
        return f"<{tasks}, {len(self.frame):,} rows, target {self.target} of {of}>"

    @property
    def lengths(self) -> Integers:
        """``int64 [tasks]``: how many rows each has."""
        found: Integers = np.diff(self.offsets)
        return found

    @property
    def counts(self) -> dict[str, int]:
        """How many rows each task has."""
        return dict(zip(self.names, self.lengths.tolist(), strict=True))

    def varies_within(self, column: str) -> bool:
        """Whether a column has two values in one of the tasks; a missing one is a value."""
        codes = self.frame[column].factorize()[0]
        return bool((codes != np.repeat(codes[self.offsets[:-1]], self.lengths)).any())

    @cached_property
    def preparation(self) -> TablePreparation:
        """How a row becomes an example: fitted on the training tasks, or on all of no split."""
        if self._given is not None:
            return self._given
        fitted = TablePreparation.fit(self.frame, self.target, self.inputs, self.kind)
        given = {"time": self.time, "window": self.window, "decimal_marks": self._marks}
        return replace(fitted, **given)  # type: ignore[arg-type]

    @cached_property
    def rows(self) -> TableRows:
        """The rows, prepared."""
        x, y = self.preparation.features(self.frame), self.preparation.targets(self.frame)
        return TableRows(self.names, x, y, self.offsets, self.window, self.time is not None)

    def split(self, *parts: float, seed: int = 0) -> tuple[Table, Table, Table]:
        """Three tables, for training, validation and test, that share no task.

        Inputs and target are prepared by what the training tasks tell, in all three.

        Args:
            parts: Three integers, which are counts of tasks, or three floats, which are fractions;
                60, 20 and 20% unless given.
            seed: Another one draws another split.

        Raises:
            InputError: The parts do not fit.
        """
        many = len(self)
        sizes = split_sizes(many, parts, "tasks") if parts else usual_sizes(many, 1)
        return self.split_into(draw_split(sizes, many, seed))

    def split_by_name(
        self, parts: Mapping[Split, Sequence[str]], how: TablePreparation | None = None
    ) -> tuple[Table, Table, Table]:
        """Three tables of the tasks of these names, prepared in a given way or as in `split`.

        Raises:
            InputError: Some are missing in the table.
        """
        return self.split_into(numbers_by_name(self.names, parts, self.name, "tasks"), how)

    def of_at_least(self, rows: int) -> Table:
        """The tasks that have so many rows."""
        return self._subset(np.flatnonzero(self.lengths >= rows))

    def tasks(
        self,
        k_shot: int,
        q_query: int,
        *,
        seed: int = 0,
        split: Split | None = None,
        min_k_shot: int | None = None,
    ) -> TableTasks:
        """Tasks of these rows; those of too few rows are left out.

        Args:
            k_shot: Support rows of a task.
            q_query: Query rows of a task, at most: one of few rows has fewer.
            seed: Another one draws other tasks.
            split: Another one draws other tasks as well; that of the table unless given.
            min_k_shot: Tasks have this many to ``k_shot`` support rows.

        Raises:
            InputError: No task has enough rows.
        """
        part = split or self.part
        return TableTasks(self.rows, self.preparation, k_shot, q_query, seed, part, min_k_shot)

    def split_into(
        self, parts: Sequence[Sequence[int]], how: TablePreparation | None = None
    ) -> tuple[Table, Table, Table]:
        """Three tables of tasks by their numbers, prepared in a given way or as in `split`."""
        train, val, test = (self._subset(np.array(numbers, np.int64)) for numbers in parts)
        if how is None and not len(train):
            raise InputError("the split has no training task; choose a larger first part")
        for table, part in zip((train, val, test), SPLITS, strict=True):
            table._given, table.part = how or train.preparation, part
            if table._given.kind == "classification":
                table._leave_unknown_out()
        return train, val, test

    def _leave_unknown_out(self) -> None:
        """Leave out the rows of a class that no training task has: none could predict it."""
        known = {str(label) for label in self.preparation.classes}
        codes, texts = as_codes(self.frame[self.target])
        kept = np.array([text in known for text in texts], bool)[codes]
        if kept.all():
            return
        others = ", ".join(text for text in texts if text not in known)
        told = (
            f"left out: {np.sum(~kept):,} {self.part} rows of classes in no training task: {others}"
        )
        self.notes = (*self.notes, told)
        of = np.repeat(np.arange(len(self)), self.lengths)[kept]
        counts = np.bincount(of, minlength=len(self))
        self.frame, self.offsets = self.frame[kept], np.cumsum([0, *counts], dtype=np.int64)

    def _subset(self, numbers: Integers) -> Table:
        """The tasks of these numbers, of a split of its own."""
        ends = zip(self.offsets[numbers], self.offsets[numbers + 1], strict=True)
        rows = [np.arange(start, end) for start, end in ends]
        other = object.__new__(Table)
        other.__dict__ = {n: v for n, v in vars(self).items() if n not in ("rows", "preparation")}
        other.frame = self.frame.iloc[np.concatenate(rows) if rows else []]
        other.names = tuple(self.names[number] for number in numbers)
        other.offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return other


def _twice(frame: pd.DataFrame) -> list[str]:
    """A note on rows that are there twice, in all columns."""
    try:
        many = int(frame.duplicated().sum())
    except TypeError:
        return []  # a column that is no input holds lists or the like
    if not many:
        return []
    # Where numbers have few digits it may be chance.
    rows = "1 row is" if many == 1 else f"{many:,} rows are"
    return [f"{rows} the same as an earlier one in all columns; remove what was entered twice"]


def _alike(names: Sequence[str]) -> list[str]:
    """A note on tasks that may be one, S001 and s001."""
    same: dict[str, list[str]] = {}
    for name in names:
        same.setdefault(name.casefold(), []).append(name)
    pairs = [" and ".join(alike) for alike in same.values() if len(alike) > 1]
    told = "tasks whose names differ in capital letters alone count as different ones"
    return [f"{told}: {listed(pairs, 3)}"] if pairs else []


def _by_task(
    frame: pd.DataFrame, task: str, time: str | None
) -> tuple[pd.DataFrame, tuple[str, ...], Integers]:
    """The rows task by task, in order of time, the names of the tasks and where each begins."""
    found, texts = as_codes(frame[task])
    names, places = np.unique(np.array(texts), return_inverse=True)
    codes = places[found]
    by = (codes,) if time is None else (times_of(frame, time), codes)
    order = np.lexsort(by)
    counts = np.bincount(codes, minlength=len(names))
    return frame.iloc[order], tuple(names.tolist()), np.concatenate([[0], counts.cumsum()])
