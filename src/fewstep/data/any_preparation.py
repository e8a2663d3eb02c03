"""The preparation of a run's examples, pictures or rows of a table, as JSON values."""

from dataclasses import asdict
from typing import Any

from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.preparation import Preparation

AnyPreparation = Preparation | TablePreparation


def preparation_as_json(how: AnyPreparation | None) -> dict[str, Any] | None:
    """A preparation as JSON values."""
    if isinstance(how, TablePreparation):
        return how.as_json()
    return None if how is None else asdict(how)


def preparation_of_json(values: Any) -> AnyPreparation | None:
    """The preparation that JSON values describe.

    Raises:
        InputError, KeyError, TypeError, ValueError: They describe none.
    """
    if values is None:
        return None
    if is_of_table(values):
        return TablePreparation.from_json(values)
    return Preparation(**values)


def is_of_table(values: Any) -> bool:
    """Whether the JSON values of a preparation are those of a table's."""
    return isinstance(values, dict) and "target" in values
