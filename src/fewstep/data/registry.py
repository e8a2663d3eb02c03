"""From a config to its tasks, whatever the data set."""

from pathlib import Path
from pkgutil import resolve_name

from fewstep.config.registry import DATA_SETS
from fewstep.config.schema import Config
from fewstep.data.source import Split, TaskSource


def task_sources(config: Config, data_dir: Path | None) -> dict[Split, TaskSource]:
    """The tasks of the three splits, which share no class.

    Raises:
        InputError: The data are missing or damaged, or too small for the config's tasks.
    """
    sources: dict[Split, TaskSource] = resolve_name(DATA_SETS[config.data].load)(config, data_dir)
    return sources
