"""Reptile (Nichol, Achiam and Schulman 2018, arXiv 1803.02999)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.execution.plan import Execution
from fewstep.functional.call import Norm
from fewstep.functional.swapped import Params
from fewstep.learners.checks import Loss
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.settings import Settings
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, adapted_path, last
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.unroll import EvaluateQuery, Gradient, detached
from fewstep.runtime.modes import Precision
from fewstep.tasks import TaskBatch, map_tensors


class Reptile(GradientBased):
    """Moves the initialisation towards where training on each task leads.

    The support and the query set of a training task are trained on together. Evaluation and
    adaptation are those of `MAML`. What `meta_gradient` returns is no gradient of its loss: it is
    (theta - phi) / alpha, averaged over the tasks, for an optimiser to descend along (section 2).

    Args:
        model: As in `MAML`.
        inner_lr: alpha, the step size of the inner loop; more than 0.
        inner_steps: How many inner steps lead from theta to phi; with a single one this is
            ordinary training on all tasks.
        loss, metrics, execution, precision, norm: As in `MAML`.

    Raises:
        InputError: A setting is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        *,
        loss: Loss | str = F.cross_entropy,
        metrics: Mapping[str, Metric] | None = None,
        execution: Execution = "auto",
        precision: Precision = "float32",
        norm: Norm = "transductive",
    ) -> None:
        settings = Settings(loss, metrics, execution, precision, norm)
        super().__init__(model, inner_lr, inner_steps, settings)
        for name, value in (("inner_lr", inner_lr), ("inner_steps", inner_steps)):
            if not value > 0:
                raise InputError(f"{name} is {value}; Reptile moves only where it is more than 0")

    def _for_training(self, tasks: TaskBatch) -> TaskBatch:
        """With all examples in the support set."""
        # Before they are joined, so that a mistake is told of the sets that were given.
        self._check(tasks, "own")

        def join(support: Tensor, query: Tensor) -> Tensor:
            if support.shape[2:] != query.shape[2:]:
                raise InputError(
                    "Reptile trains on support and query examples together, and cannot join "
                    f"{list(support.shape[1:])} and {list(query.shape[1:])}; use another learner"
                )
            return torch.cat([support, query], 1)

        return TaskBatch(
            map_tensors(join, tasks.support_x, tasks.query_x),
            join(tasks.support_y, tasks.query_y),
            tasks.query_x,
            tasks.query_y,
        )

    def _gradient(self, outer_step: int) -> partial[Gradient]:
        return partial(displacement, self._loop)

    def _needs_second_derivative(self, outer_step: int) -> bool:
        return False


def displacement(
    loop: InnerLoop, grad_fn: GradFn, evaluate_query: EvaluateQuery, params: Params
) -> Gradient:
    """The way from where the inner loop ends back to where it began, in units of its step size.

    Args:
        loop: The inner loop.
        grad_fn: The gradient of the loss on all examples of the task.
        evaluate_query: The query losses and scores.
        params: theta.
    """
    end = last(adapted_path(loop, grad_fn, params, loop.steps))
    with torch.no_grad():
        gradient = {name: (params[name] - end[name]) / loop.lr for name in end}
    return Gradient(detached(evaluate_query(end)), gradient)
