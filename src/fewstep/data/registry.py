"""From a config to its tasks, whatever the data set."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

from fewstep.config.registry import DATA_SETS
from fewstep.config.schema import Config
from fewstep.data.source import Split, TaskSource


def task_sources(config: Config, data_dir: Path | None) -> dict[Split, TaskSource]:
    """The tasks of the three splits, which share no class.

    Args:
        config: Names the data set and the form of its tasks.
        data_dir: The folder of the data, where the data set needs one.

    Raises:
        InputError: The data are missing or damaged, or too small for the config's tasks.
    """
    sources: dict[Split, TaskSource] = resolve_name(DATA_SETS[config.data].load)(config, data_dir)
    return sources
