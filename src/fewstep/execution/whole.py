"""The whole meta-gradient of a meta-batch as one function of tensors, and compiled."""

from dataclasses import replace

import torch
from torch import Tensor

from fewstep.execution.compiled import compiled
from fewstep.execution.executor import MetaGradient
from fewstep.execution.vmapped import Vmapped, stacked
from fewstep.metagrad.metrics import Unmeasured
from fewstep.metagrad.objective import Objective, QueryResult
from fewstep.metagrad.unroll import GradientRule
from fewstep.ops.traceable import LongSideLast
from fewstep.runtime.compile_cache import signature
from fewstep.tasks import TaskBatch

MOST_OPERATIONS = 400
"""Of a meta-gradient that is compiled whole, by default; more would take minutes to compile."""
WORTH_TWO_THREADS = 512 * 2**10
"""Bytes that autograd keeps of one inner step of all tasks.

Measured on two cores: below, the second saves a tenth at best, and costs up to half where the host
lets both share one core.
"""


class Whole(Vmapped):
    """Computes the meta-gradient of all tasks of a meta-batch by one compiled function.

    The objective is traceable, and has no buffers and no weights that stay fixed.
    """

    def __init__(self, objective: Objective, chunk: int, single_thread: bool) -> None:
        super().__init__(objective, chunk)
        self.single_thread = single_thread

    def meta_gradient(self, tasks: TaskBatch, rule: GradientRule) -> MetaGradient:
        """The gradient of the mean query loss of a meta-batch; metrics are not compiled."""
        objective, traceable = self.objective, self.objective.traceable
        assert traceable is not None
        assert traceable.functions is not None
        learned, given = objective.learned, tasks.tensors
        unmeasured = replace(objective, metrics=Unmeasured(objective.metrics))

        def function(*tensors: Tensor) -> tuple[Tensor, ...]:
            start = dict(zip(learned, tensors[len(given) :], strict=True))
            with torch.enable_grad(), LongSideLast():  # type: ignore[no-untyped-call]
                piece = stacked(unmeasured, tasks.with_tensors(tensors[: len(given)]), start)
                query, gradient = rule(*piece)
            means = (g.mean(0) for g in gradient.values())
            return *means, query.losses, *query.metrics.values()

        arguments = (*given, *(value.detach() for value in learned.values()))
        about = f"{len(tasks)} tasks at once"
        key = (("whole", rule, traceable.by_query, signature(*arguments)), traceable.kind)
        with torch.no_grad():
            call = compiled(
                traceable.functions, key, function, arguments, about, self.single_thread
            )
            results = call(*arguments)
            gradients, (losses, *needed) = results[: len(learned)], results[len(learned) :]
            metrics = objective.metrics.of(needed, tasks.query_y, losses)
        gradient = dict(zip(learned, gradients, strict=True))
        return MetaGradient(QueryResult(losses, metrics), gradient)
