"""Which tasks of different sizes are computed together: those of one size, or all with padding."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fewstep.metagrad.masking import OfOwnExamples, marked
from fewstep.metagrad.objective import Objective
from fewstep.tasks import TaskBatch

MOST_GROUPS = 2
"""Without padding; of more, calling takes longer than computing what is masked."""
LEAST_OWN = 1 / 4
"""The share of examples that are no padding, up to which computing both is worth it."""


class Part(NamedTuple):
    """Tasks that are computed together: their numbers, the tasks, and their objective."""

    numbers: Sequence[int]
    tasks: TaskBatch
    objective: Objective


def worth_padding(tasks: TaskBatch) -> bool:
    """Whether tasks of different sizes are faster all together with padding than by sizes."""
    if tasks.different_sizes <= MOST_GROUPS:
        return False
    own = tasks.own_examples
    # Up to the last that is a task's own: this may be a part of a longer batch.
    places = int(own.any(0).sum()) * len(tasks)
    return int(own.sum()) >= LEAST_OWN * places


def padded(objective: Objective, tasks: TaskBatch) -> list[Part]:
    """All tasks together, with padding that is masked; none where that is not exact."""
    alike = marked(tasks, objective.padding.mark) if objective.padding else None
    if objective.padding is None or alike is None:
        return []
    metrics = objective.metrics
    if tasks.query_sizes is not None:
        metrics = OfOwnExamples(metrics, objective.padding.mark)
    return [Part(range(len(tasks)), alike, replace(objective, metrics=metrics))]


def unpadded(objective: Objective, tasks: TaskBatch) -> list[Part]:
    """The tasks by their sizes.

    Nothing is masked, so loss, batch norm, metrics and gradient are those of the tasks alone.
    """
    unmasked = objective.unmasked()
    return [Part(numbers, part, unmasked) for numbers, part in tasks.even_parts()]
