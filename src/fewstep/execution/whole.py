"""The whole meta-gradient of a meta-batch by one compiled function."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from fewstep.execution.compiled import Size
from fewstep.execution.plan import graph_bytes
from fewstep.execution.vmapped import stacked
from fewstep.functional.swapped import Params
from fewstep.metagrad.metrics import Unmeasured
from fewstep.metagrad.objective import Objective
from fewstep.metagrad.unroll import Gradient, QueryResult
from fewstep.ops.products import LongSideLast
from fewstep.runtime.compile_cache import operations_of
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch


def whole_gradient(
    objective: Objective,
    tasks: TaskBatch,
    differentiate: partial[Gradient],
) -> tuple[QueryResult, Params] | None:
    """All tasks by one compiled function; None where they are too much for one."""
    assert objective.compiled is not None
    loop, settings = differentiate.args[0], differentiate.keywords
    importances = tuple(settings["importances"])
    if any(importances[:-1]) or settings["record"]:
        # They change from outer step to outer step.
        return None
    learned = objective.meta_learned
    given = tasks.tensors
    unmeasured = replace(objective, metrics=Unmeasured(objective.metrics))

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        start = dict(zip(learned, tensors[len(given) :], strict=True))
        with torch.enable_grad(), LongSideLast():  # type: ignore[no-untyped-call]
            pieces = stacked(unmeasured, tasks.with_tensors(tensors[: len(given)]), start)
            query, gradient = differentiate(*pieces)
        return (
            *(g.mean(0) for g in gradient.values()),
            query.losses,
            *query.metrics.values(),
        )

    def size() -> Size:
        x, y, *_ = tasks.task(0)
        with preserve_rng_state(tasks.device):
            forward = operations_of(lambda: objective.support_loss(objective.start, x, y))
        # A gradient is about three times its function, and its derivative three times that.
        steps: int = loop.steps
        operations = forward * (9 * steps + 3)
        return Size(operations, graph_bytes(objective, tasks) * len(tasks))

    arguments = (*given, *(value.detach() for value in learned.values()))
    key = (differentiate.func, loop, settings.get("order"))
    found = objective.compiled.whole(function, key, size, arguments)
    if found is None:
        return None
    gradients, (losses, *needed) = found[: len(learned)], found[len(learned) :]
    metrics = objective.metrics.of(needed, tasks.query_y, losses)
    return QueryResult(losses, metrics), dict(zip(learned, gradients, strict=True))
