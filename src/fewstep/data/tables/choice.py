"""Which columns of a table are inputs, and which of its rows count."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fewstep.data.columns.kinds import as_codes, is_missing, kind_of, text_of
from fewstep.data.columns.naming import (
    FILE,
    MOST,
    EmptyTableError,
    check_column,
    is_of_files,
    listed,
    load_pandas,
    shown,
)
from fewstep.data.columns.written_numbers import with_unit
from fewstep.errors import InputError

IDENTIFIER = 0.9  # different texts a row, from which a column names the rows
FEW = 20  # rows of which this cannot be told
_ROW_NUMBER = re.compile(r"unnamed: ?\d+|rownames|row_?(names?|numbers?)|index|(.*[_ ])?id", re.I)


def choose_inputs(
    frame: Any,
    target: str,
    task: str | None = None,
    inputs: Sequence[str] | None = None,
    time: str | None = None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the inputs, and notes on the columns that were left out.

    Args:
        frame: The whole table.
        target: The column to predict.
        task: The column that tells of which task a row is.
        inputs: The columns to predict it from; by default all others that may tell of it. Constant
            columns do not, nor such as number or name the rows, or name the tasks again.
        time: The column by which rows are ordered, which is no input by default.

    Raises:
        InputError: A column is not there, has two roles, or none is left.
    """
    roles = {"target": target, "task": task, "time": time}
    for role, name in roles.items():
        if name is not None:
            check_column(frame, name, role)
    if task == target:
        raise InputError(f"column {target!r} is both target and task; expected two columns")
    if inputs is not None:
        names = _given(frame, inputs, target, task)
        return names, _units(frame, names)
    reasons: dict[str, list[str]] = {}
    chosen = []
    for name in frame.columns:
        if name in roles.values() or (name == FILE and is_of_files(frame)):
            continue
        try:
            reason = _unsuitable(frame, name, task)
        except InputError:
            reason = "neither numbers, texts nor dates"
        if reason:
            reasons.setdefault(reason, []).append(name)
        else:
            chosen.append(name)
    notes = tuple(f"no input: {listed(names, MOST)} ({why})" for why, names in reasons.items())
    if not chosen:
        raise InputError(f"no column is left as input; {'; '.join([*_of_time(time), *notes])}")
    return tuple(chosen), (*notes, *_units(frame, chosen))


def known_rows(frame: Any, columns: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
    """Rows that lack none of some columns, such as target and task, and notes on the others.

    Raises:
        InputError: There are none.
    """
    notes = []
    for name in columns:
        check_column(frame, name, "rows")
        missing = is_missing(frame[name])
        if missing.all():
            raise EmptyTableError(f"column {name!r} is empty in all rows; expected values")
        if missing.any():
            count = int(missing.sum())
            rows = f"{count:,} rows that lack" if count > 1 else "1 row that lacks"
            notes.append(f"left out: {rows} {name!r}")
            frame = frame[~missing]
    return frame, tuple(notes)


def _units(frame: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Notes on inputs that are categories for their unit alone."""
    notes = []
    for name in names:
        try:
            unit = with_unit(frame[name]) if kind_of(frame[name]) == "category" else None
        except InputError:
            continue  # which is told where it becomes an input
        if unit:
            many = len(as_codes(frame[name])[1])
            notes.append(
                f"{name} has {many:,} different values such as {shown(unit)}: numbers with a unit, "
                "taken as categories; take the unit away to have numbers"
            )
    return tuple(notes)


def _of_time(time: str | None) -> list[str]:
    """How to get an input where there is none but the time."""
    if time is None:
        return ["give more columns"]
    return [
        f"{time} tells the order alone: name it as an input, too, as in --inputs {time} --time "
        f"{time}, or give more columns; past values of the target are no inputs (--window makes "
        "windows of inputs)"
    ]


def _given(frame: Any, inputs: Sequence[str], target: str, task: str | None) -> tuple[str, ...]:
    if isinstance(inputs, str):
        inputs = [name.strip() for name in inputs.split(",") if name.strip()]
    if not inputs:
        raise InputError("inputs is empty; expected names of columns")
    for place, name in enumerate(inputs):
        check_column(frame, name, "inputs")
        if name in inputs[:place]:
            raise InputError(f"inputs names {name!r} twice; expected each column once")
        for role, taken in (("target", target), ("task", task)):
            if name == taken:
                raise InputError(f"column {name!r} is the {role} and cannot be an input as well")
    return tuple(inputs)


def _unsuitable(frame: Any, name: str, task: str | None) -> str | None:
    """Why a column is no input by default; ``None`` where it is one."""
    kind = kind_of(frame[name])
    missing = is_missing(frame[name])
    known = frame[name][~missing]
    if not len(known):
        return "empty"
    if not missing.any() and (known == known.iloc[0]).all():
        return "the same in all rows"
    if kind == "number":
        whole = all(re.fullmatch(r"[+-]?\d+", text_of(value)) for value in known[:1000])
        return "numbers the rows" if whole and _ROW_NUMBER.fullmatch(name) else None
    if kind != "category":
        return None
    codes, texts = as_codes(frame[name])
    if len(known) > FEW and len(texts) > IDENTIFIER * len(known):
        unit = with_unit(frame[name])
        return (
            f"numbers with a unit, such as {shown(unit)}; take the unit away"
            if unit
            else "a text that differs from row to row"
        )
    if task is not None and len(texts) > FEW:
        pd = load_pandas()
        of_task = as_codes(frame[task])[0]
        # Each pair of the two as one number.
        pairs = pd.unique(codes.astype(np.int64) << 32 | of_task.astype(np.int64))
        if len(pairs) == len(texts) == len(pd.unique(of_task)):
            return "names the task"
    return None
