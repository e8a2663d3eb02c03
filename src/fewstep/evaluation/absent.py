"""Tasks with query examples of a class that the support set lacks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fewstep.data.source import TaskSource
from fewstep.errors import InputError
from fewstep.tasks import TaskBatch, map_tensors

ABSENT = -100
"""The label of such query examples, which the cross-entropy and the accuracy do not count."""


@dataclass(frozen=True)
class OneAbsent:
    """The tasks of ``wider`` without the support examples of their last class.

    Attributes:
        wider: Its tasks have one class more than ``ways``.
        ways: Classes that are adapted to.
    """

    wider: TaskSource
    ways: int

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers, with the label `ABSENT` for the absent class's examples."""
        tasks = self.wider.batch(indices)
        known = tasks.support_y < self.ways

        def of_known(values: Tensor) -> Tensor:
            return values[known].reshape(len(tasks), -1, *values.shape[2:])

        return TaskBatch(
            map_tensors(of_known, tasks.support_x),
            of_known(tasks.support_y),
            tasks.query_x,
            tasks.query_y.masked_fill(tasks.query_y == self.ways, ABSENT),
        )


def with_absent_class(source: TaskSource) -> OneAbsent | None:
    """Such tasks of a source's classes; None where these do not suffice, or it has no ways."""
    ways = getattr(source, "n_way", None)
    if ways is None:
        return None
    try:
        wider = replace(source, n_way=ways + 1)  # type: ignore[type-var]
    except InputError:
        return None
    return OneAbsent(wider, ways)
