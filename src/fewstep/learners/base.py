"""What every learner offers, so that training and evaluation need not know which one it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from fewstep.execution.looped import MetaGradient
from fewstep.functional.call import Norm
from fewstep.tasks import Inputs, TaskBatch


class Evaluation(NamedTuple):
    """How the tasks were solved after each number of inner steps.

    Attributes:
        losses: ``[tasks, steps + 1]``, the query loss after 0, 1, ..., steps inner steps.
        metrics: ``{name: [tasks, steps + 1]}``, those of the learner; accuracy is a fraction.
    """

    losses: Tensor
    metrics: dict[str, Tensor]

    @property
    def scores(self) -> Tensor:
        """``[tasks, steps + 1]``, the first metric."""
        return next(iter(self.metrics.values()))


class Learner(Protocol):
    """Learns an initialisation from tasks, and adapts it to a new one."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What the outer loop changes. Running statistics require no gradient."""

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """One outer step's losses and gradient, by the names of `named_parameters`.

        What changes from outer step to outer step depends on ``outer_step``, those done, alone.
        """

    def evaluate(self, tasks: TaskBatch, steps: int, norm: Norm | None = None) -> Evaluation:
        """Adapt to each task and evaluate it after every inner step, changing nothing."""

    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        """A module that is adapted to one task, for one example at a time unless told otherwise."""
