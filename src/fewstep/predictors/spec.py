"""The form of the tasks that an adapted model was adapted to one of."""

from fewstep.data.any_preparation import AnyPreparation
from fewstep.data.source import TaskSpec


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
    if kind == "regression":
        return TaskSpec.regression(shape, outputs)
    return TaskSpec.classification(shape, outputs, training_classes)
