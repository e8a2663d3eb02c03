"""The constructor arguments that learners with an inner loop share, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

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
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), get_args(choices))
        object.__setattr__(self, "loss", loss_of(self.loss))


_CHOICES = {
    "execution": Execution,
    "precision": Precision,
    "norm": Norm,
    "order": Order,
    "memory": Memory,
}
