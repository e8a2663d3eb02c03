"""Support loss and query loss of a task, as pure functions of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from torch import Tensor

from fewstep.functional.call import Norm, PureModel
from fewstep.functional.swapped import Params
from fewstep.learners.checks import Loss, scalar
from fewstep.metagrad.metrics import Metrics
from fewstep.metagrad.objective import QueryOutput
from fewstep.runtime.modes import Precision, autocast
from fewstep.tasks import Inputs

QueryFunction = Callable[[Params, Inputs, Inputs, Tensor], QueryOutput]
"""Computes the query loss of adapted parameters: the ``evaluate_query`` of an `Objective`."""


def support_loss_of(
    pure: PureModel, loss: Loss, precision: Precision
) -> Callable[[Params, Inputs, Tensor], Tensor]:
    """The ``support_loss`` of an `Objective`. Model and loss are one function of the parameters."""

    def support_loss(params: Params, x: Inputs, y: Tensor) -> Tensor:
        with (
            autocast(precision, y.device),
            pure.having(params, fused=True, inputs_repeat=True),
        ):
            return scalar(loss(pure.predict(x), pure.target(y)))

    return support_loss


def query_function(
    pure: PureModel,
    loss: Loss,
    metrics: Metrics,
    norm: Norm,
    precision: Precision,
    recorded: Callable[[], AbstractContextManager[list[Tensor]]] | None = None,
) -> QueryFunction:
    """The ``evaluate_query`` of an `Objective`.

    Args:
        pure: The model.
        loss: Of (prediction, target).
        metrics: Of predictions and targets.
        norm: Whose statistics batch norm uses.
        precision: Of the model's own computation.
        recorded: Within, a list is filled with the statistics of what batch norms see, if they
            are wanted.
    """

    def having(params: Params, support_x: Inputs) -> AbstractContextManager[None]:
        if norm == "inductive":
            return pure.inductive(params, support_x)
        return pure.having(params, fused=recorded is None)

    def evaluate_query(
        params: Params, support_x: Inputs, query_x: Inputs, query_y: Tensor
    ) -> QueryOutput:
        statistics: list[Tensor] = []
        with autocast(precision, query_y.device), having(params, support_x):
            if recorded is None:
                prediction = pure.predict(query_x)
            else:
                with recorded() as statistics:
                    prediction = pure.predict(query_x)
            # Before the loss, which may change what was predicted.
            needed = metrics.needed(prediction)
            value = scalar(loss(prediction, pure.target(query_y)))
        return value, needed, statistics

    return evaluate_query
