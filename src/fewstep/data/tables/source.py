"""The tasks of a table, split by task: as its run kept it, or else by the seed."""

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.class_split import draw_split, usual_sizes
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.on_demand import OnDemand
from fewstep.data.source import SPLITS, KeptSplit, TaskSource
from fewstep.data.tables.table import Table
from fewstep.errors import InputError

LEAST = 2  # tasks of each part: of one there is no interval


def sources(
    config: Config, _: Path | None, kept: KeptSplit | None = None
) -> Mapping[Split, TaskSource]:
    """The tasks of each split of the config's table."""
    parts = split_table(open_table(config), config, kept)

    def of(split: Split) -> TaskSource:
        return parts[split].tasks(
            *config.shots(split),
            seed=config.seed,
            split=split,
            min_k_shot=config.min_k_shot if split == "train" else None,
        )

    return OnDemand(of)


def open_table(config: Config) -> Table:
    """The config's table, read again only where it has changed."""
    path = Path(str(config.table))
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    try:
        state = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    except OSError as error:
        raise InputError(
            f"cannot open {error.filename or path} ({error.strerror or error}); expected a CSV or "
            "Parquet file, or a folder with a file a task"
        ) from error
    columns = (config.task, config.target, config.inputs, config.time)
    return _read(state, str(path), columns, config.window)


@lru_cache(maxsize=1)
def _read(
    _: tuple[object, ...],
    path: str,
    columns: tuple[str | None, str | None, str | None, str | None],
    window: int | None,
) -> Table:
    task, target, inputs, time = columns
    return Table(path, task, target, names_of(inputs), time, window)


def names_of(inputs: str | None) -> list[str] | None:
    """The columns that a setting names; one that has a comma in it stands in quotes."""
    if inputs is None:
        return None
    return [name.strip() for name in next(csv.reader([inputs], skipinitialspace=True))]


def split_table(table: Table, config: Config, kept: KeptSplit | None = None) -> dict[Split, Table]:
    """The parts of a table: those of a run, or else drawn by the seed.

    Raises:
        InputError: There are too few tasks.
    """
    if kept:
        how = kept.preparation
        assert isinstance(how, TablePreparation)
        return dict(zip(SPLITS, table.split_by_name(kept.classes, how), strict=True))
    large = table.of_at_least(rows_needed(config))
    many, least = len(large), LEAST * len(SPLITS)
    if many < least:
        of_rows = f" of {rows_needed(config)} rows or more" if many < len(table) else ""
        raise InputError(
            f"{table.name} has {many} {'task' if many == 1 else 'tasks'}{of_rows}; training needs "
            f"{least}, {LEAST} each for training, validation and test: "
            + ("choose a smaller k_shot or add rows" if of_rows else "add tasks")
        )
    parts = large.split_into(draw_split(usual_sizes(many, LEAST), many, config.seed))
    return dict(zip(SPLITS, parts, strict=True))


def rows_needed(config: Config) -> int:
    """The fewest rows of a task that is not left out: to adapt on, and one to be judged on."""
    return max(config.min_k_shot or config.k_shot, config.shots("test")[0]) + 1
