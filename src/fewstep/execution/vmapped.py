"""Several tasks at once, by vectorising what is computed for one."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.func import vmap

from fewstep.errors import InputError, first_line
from fewstep.functional.guards import layer_at_fault
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn, as_leaf_tensors, support_gradient
from fewstep.metagrad.objective import Objective
from fewstep.metagrad.unroll import EvaluateQuery, QueryResult
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch


def stacked(
    objective: Objective, tasks: TaskBatch, start: Params
) -> tuple[GradFn, EvaluateQuery, Params]:
    """All tasks, each with its own copy of ``start``: every tensor has the task in front.

    The tasks do not touch one another, so the gradient of the sum of their losses with respect to
    the stacked parameters holds the gradient of each.
    """
    losses = vmap(objective.support_loss)
    query_outputs = vmap(objective.evaluate_query)

    def step_loss(params: Params, _: int) -> Tensor:
        with _told_what_to_do():
            return losses(params, tasks.support_x, tasks.support_y).sum()

    def evaluate_query(params: Params) -> QueryResult:
        with _told_what_to_do():
            loss, needed, statistics = query_outputs(
                params, tasks.support_x, tasks.query_x, tasks.query_y
            )
        metrics = objective.metrics.of(needed, tasks.query_y, loss)
        return QueryResult(loss, metrics, statistics[0] if statistics else None)

    return support_gradient(step_loss), evaluate_query, _for_each(tasks, start)


def can_vectorise(objective: Objective, tasks: TaskBatch) -> bool:
    """Whether the model and the loss can be computed for several tasks at once, fast."""
    gradient, evaluate_query, start = stacked(objective, tasks[:2], objective.start)
    try:
        with preserve_rng_state(tasks.device), warnings.catch_warnings():
            # PyTorch warns where vmap falls back to a loop of its own.
            warnings.simplefilter("error")
            gradient(as_leaf_tensors(start), 0, False)
            evaluate_query(start)
    except (InputError, Warning):
        return False
    return True


def _for_each(tasks: TaskBatch, params: Params) -> Params:
    return {name: value.expand(len(tasks), *value.shape) for name, value in params.items()}


class NotVectorisableError(InputError):
    """A model or a loss that can only be computed for one task after another."""


class _told_what_to_do:  # noqa: N801 - reads as a statement
    """Names the way out where a layer cannot be vectorised."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
            raise NotVectorisableError(
                f"{layer_at_fault(error)} cannot be vectorised over tasks ({first_line(error)}); "
                'use execution="loop"'
            ) from error
