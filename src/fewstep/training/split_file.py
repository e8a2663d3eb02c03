"""The split by class of a run as a file, ``split.json``: the run goes on with the same classes."""

from collections.abc import Mapping
from typing import Any

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.images import ImageClasses
from fewstep.data.source import SPLITS, KeptSplit, TaskSource
from fewstep.errors import InputError
from fewstep.files import read_json_object
from fewstep.training.run_dir import RunDir
from fewstep.training.task_form import read_form

_REMEDY = "restore it, or train in a new run directory"


def images_of(source: TaskSource) -> ImageClasses:
    """The pictures that a source draws from."""
    images: ImageClasses = source.images  # type: ignore[attr-defined]
    return images


def split_as_json(tasks: Mapping[Split, TaskSource]) -> dict[str, Any]:
    """The names of the classes of each split."""
    return {split: list(images_of(source).names) for split, source in tasks.items()}


def kept_split(config: Config, run: RunDir) -> KeptSplit | None:
    """The split that a run keeps, and how its pictures were prepared; None of a new run.

    Raises:
        InputError: The file is damaged.
    """
    if not config.data_set.keeps_split or not run.config.exists():
        return None
    try:
        told = read_json_object(run.split, _REMEDY)
        how = read_form(run.data).preparation
    except FileNotFoundError:
        # The run was killed before they were written.
        return None
    classes = {split: told.get(split) for split in SPLITS}
    for names in classes.values():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{run.split} does not tell the classes of each split; {_REMEDY}")
    return KeptSplit({split: names or [] for split, names in classes.items()}, how)
