"""The split of a run as a file, ``split.json``: it goes on with the same classes or tasks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.images import ImageClasses
from fewstep.data.source import SPLITS, KeptSplit, TaskSource
from fewstep.data.tables.tasks import TableTasks
from fewstep.errors import InputError
from fewstep.files import read_json_object
from fewstep.training.run_dir import RunDir
from fewstep.training.task_form import read_form

_REMEDY = "restore it, or train in a new run directory"


def images_of(source: TaskSource) -> ImageClasses:
    """The pictures that a source draws from."""
    images: ImageClasses = source.images  # type: ignore[attr-defined]
    return images


def names_in(source: TaskSource) -> Sequence[str]:
    """The classes of the pictures that a source draws from, or the tasks of its table."""
    return source.rows.names if isinstance(source, TableTasks) else images_of(source).names


def split_as_json(tasks: Mapping[Split, TaskSource]) -> dict[str, Any]:
    """The names of the classes, or of a table's tasks, of each split."""
    return {split: list(names_in(source)) for split, source in tasks.items()}


def split_of_task(run: RunDir, name: str) -> Split | None:
    """The part of a run's split that has a task of this name; None where none has, or no file."""
    try:
        told = read_json_object(run.split, _REMEDY)
    except (OSError, InputError):
        return None
    return next((split for split in SPLITS if name in (told.get(split) or ())), None)


def kept_split(config: Config, run: RunDir) -> KeptSplit | None:
    """The split that a run keeps, and how its data were prepared; None of a new run.

    Raises:
        InputError: A file is damaged, or missing in a run that was trained.
    """
    if not config.data_set.keeps_split or not run.config.exists():
        return None
    try:
        told = read_json_object(run.split, _REMEDY)
        how = read_form(run.data).preparation
    except FileNotFoundError as error:
        # With another split, a run would be tested on classes that it was trained on.
        if run.last.exists() or run.best.exists():
            missing = run.data if run.split.exists() else run.split
            raise InputError(f"{run.path} has no {missing.name}; {_REMEDY}") from error
        # The run was killed before they were written.
        return None
    of = "tasks" if config.table else "classes"
    classes: dict[Split, list[str]] = {}
    for split in SPLITS:
        names = told.get(split)
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise InputError(f"{run.split} does not tell the {of} of each split; {_REMEDY}")
        classes[split] = names
    name, times = Counter(name for names in classes.values() for name in names).most_common(1)[0]
    if times > 1:
        one = "task" if config.table else "class"
        raise InputError(f"{run.split} has the {one} {name!r} twice; {_REMEDY}")
    return KeptSplit(classes, how)
