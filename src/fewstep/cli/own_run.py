"""The settings of a run of own data that goes on: what no flag says stays as it was."""

from dataclasses import replace
from pathlib import Path

from fewstep.config.file import read_config
from fewstep.config.schema import Config
from fewstep.data.tables.source import open_table

HERE = ("folder", "table", "device", "data_dir", "workers", "checkpoint_every", "execution")
"""Settings of the place and the machine, not of the run: it may have moved."""
COLUMNS = ("task", "target", "inputs", "time")


def settings_of(run_dir: Path, given: Config) -> Config | None:
    """The settings of the run in a directory; None where none of such data is there.

    A recipe says how long it trains and how it is tested, and its name is given each time. Pictures
    and tables of one's own have but defaults, which are not what the run was begun with.
    """
    saved = run_dir / "config.json"
    own = read_config(saved) if saved.exists() else None
    if own is None or (own.folder is None, own.table is None) != (
        given.folder is None,
        given.table is None,
    ):
        return None
    return replace(own, **{name: getattr(given, name) for name in HERE})


def check_columns(config: Config, own: Config) -> None:
    """See that columns that are not those of the run are in its table, before it is refused.

    Raises:
        InputError: One is not; the message names the nearest.
    """
    if config.table and any(getattr(config, name) != getattr(own, name) for name in COLUMNS):
        open_table(config)
