"""What has to be computed for one task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fewstep.compiled import Compiled
from fewstep.functional import Params


@dataclass(frozen=True)
class Problem:
    """Support loss and judgement of a task, as pure functions of the parameters.

    Attributes:
        support_loss: (parameters, support_x, support_y) to a scalar.
        judge: (parameters, support_x, query_x, query_y) to the query loss and the score, scalars,
            and perhaps to statistics of the query set.
        start: The parameters before the first inner step, theta_0.
        compiled: Compiled functions to use where there are any, or None.
        learned: All that is meta-learned, where that is not ``start`` itself.
    """

    support_loss: Callable[[Params, Tensor, Tensor], Tensor]
    judge: Callable[[Params, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
    start: Params
    compiled: Compiled | None = None
    learned: Params | None = None

    @property
    def meta_learned(self) -> Params:
        """All that is meta-learned, in any case."""
        return self.start if self.learned is None else self.learned
