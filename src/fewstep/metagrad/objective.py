"""What has to be computed for one task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fewstep.execution.compiled import Compiled
from fewstep.functional.swapped import Params
from fewstep.metagrad.metrics import Metrics
from fewstep.tasks import Inputs

QueryOutput = tuple[Tensor, list[Tensor], list[Tensor]]
"""The query loss, a scalar; what the metrics need of the prediction; statistics, one or none."""


@dataclass(frozen=True)
class Objective:
    """Support loss and query loss of a task, as pure functions of the parameters.

    Attributes:
        support_loss: (parameters, support_x, support_y) to a scalar.
        evaluate_query: (parameters, support_x, query_x, query_y) to how the query set is solved.
        start: The parameters before the first inner step, theta_0.
        metrics: What is told of predictions.
        compiled: Compiled functions to use where there are any, or None.
        learned: All that is meta-learned, where that is not ``start`` itself.
        needs_gradients: Whether the model takes derivatives when it predicts.
        modes: Of all parts of the model, while it is called.
    """

    support_loss: Callable[[Params, Inputs, Tensor], Tensor]
    evaluate_query: Callable[[Params, Inputs, Inputs, Tensor], QueryOutput]
    start: Params
    metrics: Metrics
    compiled: Compiled | None = None
    learned: Params | None = None
    needs_gradients: bool = False
    modes: tuple[bool, ...] = ()

    @property
    def meta_learned(self) -> Params:
        """All that is meta-learned, in any case."""
        return self.start if self.learned is None else self.learned
