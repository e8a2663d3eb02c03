"""A table on the command line: its defaults, and what is told of it."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from fewstep.choices import Split
from fewstep.cli.first_word import no_file
from fewstep.config.file import read_config
from fewstep.config.recipes import table_config
from fewstep.config.registry import OF_TABLES
from fewstep.config.schema import Config
from fewstep.data.columns.naming import MOST, listed
from fewstep.data.source import KeptSplit
from fewstep.data.tables.rows import Integers
from fewstep.data.tables.source import open_table, rows_needed, split_table
from fewstep.data.tables.table import Table
from fewstep.errors import InputError
from fewstep.evaluation.numbers import rows_up_to

K_SHOT = 10  # at most, unless asked for
VALIDATION, TEST = 100, 400  # draws of rows, about
OWN = (*OF_TABLES, "n_way", "k_shot", "q_query", "val_tasks", "test_tasks")


def defaults(given: Config, run_dir: Path, is_given: Callable[[str], bool]) -> Config:
    """The defaults by what is in the table, and by the settings that were given.

    A run that goes on has its own, whatever has come to the table.
    """
    table, saved = str(given.table), run_dir / "config.json"
    own = read_config(saved) if saved.exists() else None
    if own is not None and own.table is not None:
        return table_config(table, **{name: getattr(own, name) for name in OWN})
    if not Path(table).exists():
        raise no_file(Path(os.path.relpath(table)))
    if given.target is None:
        raise InputError(
            f"no target is given for {table}; name the column to predict, as in --target score"
        )
    if given.task is None and not Path(table).is_dir():
        raise InputError(
            f"{table} is one file and no task is given; name the column that tells the task of a "
            "row, as in --task school, or give a folder with a file a task"
        )
    whole = open_table(given)
    k_shot = given.k_shot if is_given("k_shot") else likely_k_shot(whole.lengths)
    few = {name: getattr(given, name) for name in ("seed", "min_k_shot", "test_k_shot")}
    series = {name: getattr(given, name) for name in ("time", "window")}
    of_shots = table_config(table, 1, k_shot, **few)
    train, val, test = split_table(whole, of_shots).values()
    ways = len(train.preparation.classes) or 1
    draws = {"val_tasks": _rounds(len(val), VALIDATION), "test_tasks": _rounds(len(test), TEST)}
    return table_config(table, ways, k_shot, **draws, **series)


def likely_k_shot(rows: Integers) -> int:
    """Support rows that leave most tasks as many query rows.

    >>> likely_k_shot(np.array([30, 40, 50])), likely_k_shot(np.array([7, 9, 9, 12]))
    (10, 4)
    """
    return max(1, min(K_SHOT, int(np.quantile(rows, 0.25)) // 2)) if len(rows) else 1


def tell(config: Config, kept: KeptSplit | None, to: Console) -> None:
    """Print what was understood of the table, what is left out, and how it is split."""
    table = open_table(config)
    parts = split_table(table, config, kept)

    def say(line: str) -> None:
        to.print(line, soft_wrap=True, highlight=False, markup=False)

    few, half, many = np.quantile(table.lengths, (0, 0.5, 1), method="lower").tolist()
    by = "by file" if config.task is None else f"by {config.task}"
    each = f"{few:,}" if few == many else f"{few:,} to {many:,}, in the middle {half:,},"
    say(f"{config.table}: {len(table):,} tasks {by}, {len(table.frame):,} rows; {each} rows a task")
    # Each part has those of the whole table as well.
    notes = dict.fromkeys(note for part in parts.values() for note in part.notes)
    for line in (*parts["train"].preparation.describe(), *notes):
        say(line)
    sizes = [len(part) for part in parts.values()]
    new = newcomers(config, table, parts)
    used = {name for part in parts.values() for name in part.names}
    small = [name for name in table.names if name not in {*used, *new}]
    told = f"of fewer than {rows_needed(config)} rows"
    for names, why in ((small, told), (new, "in no part of the split")):
        if names:
            say(f"left out, {why}: {len(names):,} {_tasks(names)}: {listed(names, MOST)}")
    # A table that changed may have fewer rows of a task than the run was begun with.
    for split, part in parts.items():
        own = config.min_k_shot if split == "train" else None
        fewest = own or config.shots(split)[0]
        if names := [name for name in part.names if part.counts[name] <= fewest]:
            of = f"of fewer than {fewest + 1} rows: {len(names):,} {_tasks(names)}"
            say(f"left out of {split}, {of}: {listed(names, MOST)}")
    train, val, test = (f"{size:,}" for size in sizes)
    say(f"split: {train} tasks train, {val} validation, {test} test")
    least = "" if config.min_k_shot is None else f"{config.min_k_shot} to "
    say(f"a task: {least}{config.k_shot} support and {rows_up_to(config.q_query)}")
    if config.k_shot == likely_k_shot(table.lengths) < K_SHOT:
        say(f"k_shot is {config.k_shot}, {_half(table.lengths)}")
    inputs = parts["train"].preparation.inputs
    if not any(table.varies_within(name) for name in inputs):
        as_in = "" if config.time in (None, *inputs) else f", as in --inputs {config.time}"
        say(
            "no input varies within a task: all predictions of a task will be the same; give "
            f"inputs that do{as_in}"
        )


def _half(lengths: Integers) -> str:
    """The reason for the number of support rows, where tasks have few."""
    rows = int(np.quantile(lengths, 0.25))
    of = (
        "of each task"
        if lengths.min() == lengths.max()
        else "that three quarters of the tasks have"
    )
    return f"half the {rows:,} rows {of}"


def newcomers(config: Config, table: Table, parts: Mapping[Split, Table]) -> list[str]:
    """The tasks with enough rows that are in no part of the split."""
    used = {name for part in parts.values() for name in part.names}
    many = table.of_at_least(rows_needed(config)).names
    return [name for name in many if name not in used]


def _rounds(tasks: int, about: int) -> int:
    """About so many draws that come to each task equally often, where it is not too many."""
    return tasks * math.ceil(about / tasks) if tasks <= 2 * about else about


def _tasks(names: Sequence[str]) -> str:
    return "task" if len(names) == 1 else "tasks"
