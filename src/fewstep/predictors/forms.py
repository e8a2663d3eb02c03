"""The form of a network's examples, of whatever kind they are."""

import torch

from fewstep.data.any_preparation import AnyPreparation
from fewstep.data.columns.preparation import TablePreparation
from fewstep.predictors.inputs import ExampleForm
from fewstep.predictors.table_form import TableForm

Form = ExampleForm | TableForm


def form_of(
    preparation: AnyPreparation | None, shape: tuple[int, ...] | None, dtype: torch.dtype
) -> Form:
    """The form of examples by how they are prepared.

    Args:
        preparation: None where the examples are neither pictures nor rows of a table.
        shape: Of one example; None where nobody knows yet.
        dtype: Of the network.
    """
    if isinstance(preparation, TablePreparation):
        return TableForm(preparation, dtype)
    return ExampleForm(preparation, shape, dtype)
