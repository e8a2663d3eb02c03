"""The constructor arguments that learners with an inner loop share, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fewstep.execution.plan import Execution
from fewstep.functional.call import Norm
from fewstep.learners.checks import Loss, check_choice, loss_of
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.unroll import Memory, Order
from fewstep.runtime.modes import Precision


@dataclass(frozen=True)
class Settings:
    """Everything but the model and its inner loop; `MAML` says what each means.

    Raises:
        InputError: One is out of range.
    """

    loss: Loss | str
    metrics: Mapping[str, Metric] | None
    execution: Execution
    precision: Precision
    norm: Norm
    order: Order = "exact"
    memory: Memory = "fast"

    def __post_init__(self) -> None:
        check_choice("execution", self.execution, Execution)
        check_choice("precision", self.precision, Precision)
        check_choice("norm", self.norm, Norm)
        check_choice("order", self.order, Order)
        check_choice("memory", self.memory, Memory)
        object.__setattr__(self, "loss", loss_of(self.loss))
