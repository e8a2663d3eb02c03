"""From a config to its tasks, whatever the data set."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

from fewstep.choices import Split
from fewstep.config.registry import DATA_SETS
from fewstep.config.schema import Config
from fewstep.data.source import KeptSplit, TaskSource


def task_sources(config: Config, kept: KeptSplit | None = None) -> Mapping[Split, TaskSource]:
    """The tasks of the three splits, which share no class; those that a run kept, if it did.

    A split that is too small for such tasks refuses when it is asked for.
    """
    folder, load = Path(config.data_dir) if config.data_dir else None, DATA_SETS[config.data].load
    given = (config, folder, kept) if kept else (config, folder)
    sources: Mapping[Split, TaskSource] = resolve_name(load)(*given)
    return sources
