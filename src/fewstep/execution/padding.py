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


def unpadded(objective: Objective, tasks: TaskBatch) -> list[Part]:
    """The tasks by their sizes.

    Nothing is masked, so loss, batch norm, metrics and gradient are those of the tasks alone.
    """
    return [Part(numbers, part, objective) for numbers, part in tasks.even_parts()]


def padded(objective: Objective, tasks: TaskBatch) -> list[Part]:
    """All tasks together, with padding that is masked; none where that is not exact, or slower."""
    if objective.masked is None or tasks.different_sizes <= MOST_GROUPS:
        return []
    mark, make = objective.masked
    alike = marked(tasks, mark)
    if alike is None:
        return []
    examples = alike.support_y.shape[1] + alike.query_y.shape[1]
    if int(tasks.own_examples.sum()) < LEAST_OWN * examples * len(tasks):
        return []
    metrics = objective.metrics
    if tasks.query_sizes is not None:
        metrics = OfOwnExamples(metrics, mark)
    return [Part(range(len(tasks)), alike, replace(make(), metrics=metrics))]
