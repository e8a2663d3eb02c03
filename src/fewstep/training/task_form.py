"""The form of a run's tasks as a file, ``data.json``: enough to use the run without its data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewstep.choices import Split
from fewstep.data.any_preparation import (
    AnyPreparation,
    preparation_as_json,
    preparation_of_json,
)
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.source import TaskSource, TaskSpec
from fewstep.data.tables.tasks import spec_of
from fewstep.errors import InputError
from fewstep.files import read_json_object


@dataclass(frozen=True)
class TaskForm:
    """The form of the tasks, and how a picture or a row of a table becomes an example."""

    spec: TaskSpec
    preparation: AnyPreparation | None


def form_of(source: TaskSource) -> TaskForm:
    """The form of a source's tasks."""
    return TaskForm(source.spec, source.preparation)


def form_of_run(tasks: Mapping[Split, TaskSource], kept: Path) -> TaskForm:
    """The form of a run's tasks: where none of training can be made, as a file keeps it."""
    try:
        return form_of(tasks["train"])
    except InputError:
        if kept.exists():
            return read_form(kept)
        raise


def form_as_json(form: TaskForm) -> dict[str, Any]:
    """The form as JSON values; its loss follows from the kind."""
    spec = form.spec
    told = {name: getattr(spec, name) for name in ("kind", "example_shape", "outputs", "classes")}
    return {**told, "preparation": preparation_as_json(form.preparation)}


def read_form(path: Path) -> TaskForm:
    """The form that a file tells.

    Raises:
        FileNotFoundError: The run is of an earlier version, which kept none.
        InputError: The file is damaged.
    """
    values = read_json_object(path, "restore it, or train in a new run directory")
    try:
        shape, outputs, classes = values["example_shape"], values["outputs"], values["classes"]
        how = preparation_of_json(values["preparation"])
        if isinstance(how, TablePreparation):
            return TaskForm(spec_of(how, tuple(map(int, shape))), how)
        if values["kind"] == "regression":
            spec = TaskSpec.regression(tuple(map(int, shape)), int(outputs))
        else:
            many = None if classes is None else int(classes)
            spec = TaskSpec.classification(tuple(map(int, shape)), int(outputs), many)
        return TaskForm(spec, how)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not tell the form of tasks ({error!r}); restore it, or train in a new "
            "run directory"
        ) from error
