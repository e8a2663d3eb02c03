"""From a config to its tasks, whatever the data set."""

from pathlib import Path
from pkgutil import resolve_name

from fewstep.choices import Split
from fewstep.config.registry import DATA_SETS
from fewstep.config.schema import Config
from fewstep.data.source import TaskSource


def task_sources(config: Config) -> dict[Split, TaskSource]:
    """The tasks of the three splits, which share no class."""
    folder = Path(config.data_dir) if config.data_dir else None
    sources: dict[Split, TaskSource] = resolve_name(DATA_SETS[config.data].load)(config, folder)
    return sources
