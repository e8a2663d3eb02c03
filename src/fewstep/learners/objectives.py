"""Support loss and query loss of a task, as pure functions of the parameters."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from fewstep.choices import Norm, Precision
from fewstep.functional.call import PureModel
from fewstep.functional.loss import call_loss
from fewstep.functional.swapped import Params
from fewstep.learners.checks import Loss, scalar
from fewstep.metagrad.metrics import Metrics
from fewstep.metagrad.objective import QueryOutput
from fewstep.runtime.modes import autocast
from fewstep.tasks import Inputs


def support_loss_of(
    pure: PureModel, loss: Loss, precision: Precision
) -> Callable[[Params, Inputs, Tensor], Tensor]:
    """The ``support_loss`` of an `Objective`. Model and loss are one function of the parameters."""

    def support_loss(params: Params, x: Inputs, y: Tensor) -> Tensor:
        with autocast(precision, y.device), pure.having(params, fused=True, inputs_repeat=True):
            return scalar(call_loss(loss, pure.predict(x), pure.target(y)))

    return support_loss


def query_function(
    pure: PureModel,
    loss: Loss,
    metrics: Metrics,
    norm: Norm,
    precision: Precision,
    recorded: Callable[[], AbstractContextManager[list[Tensor]]] | None = None,
) -> Callable[[Params, Inputs, Inputs, Tensor], QueryOutput]:
    """The ``evaluate_query`` of an `Objective`; ``recorded`` makes statistics, where wanted."""

    def evaluate_query(
        params: Params, support_x: Inputs, query_x: Inputs, query_y: Tensor
    ) -> QueryOutput:
        by_batch = pure.having(params, fused=recorded is None)
        having = pure.inductive(params, support_x) if norm == "inductive" else by_batch
        with autocast(precision, query_y.device), having:
            with nullcontext([]) if recorded is None else recorded() as statistics:
                prediction = pure.predict(query_x)
            # Before the loss, which may change what was predicted.
            needed = metrics.needed(prediction)
            value = scalar(call_loss(loss, prediction, pure.target(query_y)))
        return value, needed, statistics

    return evaluate_query
