"""Reptile (Nichol, Achiam and Schulman 2018, arXiv 1803.02999)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.choices import Execution, Norm, Precision
from fewstep.errors import InputError
from fewstep.functional.swapped import Params
from fewstep.learners.checks import Loss
from fewstep.learners.gradient_based import GradientBased, Settings
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, as_leaf_tensors, last
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.objective import EvaluateQuery
from fewstep.metagrad.unroll import Gradient, GradientRule, ThroughInnerLoop, last_only
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
        loss, metrics, execution, precision, norm: As in `MAML`. The parameters of a loss that is a
            module do not adapt, and so do not move: theirs is the gradient of the query loss at
            phi, of first order.

    Raises:
        InputError: A setting is out of range.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> tasks = fewstep.TaskBatch(x, y, x, y)
    >>> learner = fewstep.Reptile(torch.nn.Linear(4, 3), inner_lr=0.4, inner_steps=5)
    >>> learner(tasks).backward()
    >>> learner.model.weight.grad.shape
    torch.Size([3, 4])
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

        if tasks.is_uneven:
            parts = [self._for_training(tasks.single(n)).task(0) for n in range(len(tasks))]
            return TaskBatch.stack(parts)

        # Tensors that are made in inference mode have no gradients ever after.
        with torch.inference_mode(False):
            x = map_tensors(join, tasks.support_x, tasks.query_x)
            y = join(tasks.support_y, tasks.query_y)
        return TaskBatch(x, y, tasks.query_x, tasks.query_y)

    def _gradient(self, outer_step: int) -> GradientRule:
        return Displacement(self._loop)

    def _needs_second_derivative(self, outer_step: int) -> bool:
        return False


@dataclass(frozen=True)
class Displacement:
    """The way from where the inner loop ends back to where it began, in units of its step size."""

    loop: InnerLoop

    def __call__(self, grad_fn: GradFn, evaluate_query: EvaluateQuery, learned: Params) -> Gradient:
        """(theta - phi) / alpha; of what does not adapt, the gradient of the query loss at phi."""
        end = last(self.loop.path(grad_fn, learned, self.loop.steps))
        with torch.no_grad():
            adapting = self.loop.adapting
            gradient = {name: (learned[name] - end[name]) / self.loop.lr for name in adapting}
        others = [name for name in learned if name not in gradient]
        if not others:
            return Gradient(evaluate_query(end).detach(), gradient)
        # Of first order: that the way to phi depends on them is left out.
        at_end = ThroughInnerLoop(replace(self.loop, steps=0), last_only(0))
        query, by_name = at_end(grad_fn, evaluate_query, as_leaf_tensors(end))
        return Gradient(query, gradient | {name: by_name[name] for name in others})
