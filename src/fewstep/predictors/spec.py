"""The form of the tasks that an adapted model was adapted to one of."""

from fewstep.data.any_preparation import AnyPreparation
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.source import TaskSpec
from fewstep.data.tables.tasks import spec_of as spec_of_table


def spec_of(
    kind: str,
    shape: tuple[int, ...],
    outputs: int,
    training_classes: int | None,
    preparation: AnyPreparation | None,
) -> TaskSpec:
    """The form by what the folder of a model tells.

    Args:
        kind: ``"classification"`` or ``"regression"``.
        shape: Of one example.
        outputs: Of the network.
        training_classes: How many classes the run told apart in all, where it did.
        preparation: How rows of a table or pictures become examples.
    """
    if isinstance(preparation, TablePreparation):
        return spec_of_table(preparation, shape)
    if kind == "regression":
        return TaskSpec.regression(shape, outputs)
    return TaskSpec.classification(shape, outputs, training_classes)
