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
from fewstep.metagrad.objective import Problem
from fewstep.metagrad.unroll import Gradient, Judgement
from fewstep.ops.products import LongSideLast
from fewstep.runtime.compile_cache import operations_of
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch


def whole_gradient(
    problem: Problem,
    tasks: TaskBatch,
    differentiate: partial[Gradient],
) -> tuple[Judgement, Params] | None:
    """All tasks by one compiled function; None where they are too much for one."""
    assert problem.compiled is not None
    loop, settings = differentiate.args[0], differentiate.keywords
    importances = tuple(settings["importances"])
    if any(importances[:-1]) or settings["record"]:
        # They change from outer step to outer step.
        return None
    learned = problem.meta_learned
    given = tasks.tensors
    unmeasured = replace(problem, metrics=Unmeasured(problem.metrics))

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        start = dict(zip(learned, tensors[len(given) :], strict=True))
        with torch.enable_grad(), LongSideLast():  # type: ignore[no-untyped-call]
            pieces = stacked(unmeasured, tasks.with_tensors(tensors[: len(given)]), start)
            judgement, gradient = differentiate(*pieces)
        return (
            *(g.mean(0) for g in gradient.values()),
            judgement.losses,
            *judgement.metrics.values(),
        )

    def size() -> Size:
        x, y, *_ = tasks.task(0)
        with preserve_rng_state(tasks.device):
            forward = operations_of(lambda: problem.support_loss(problem.start, x, y))
        # A gradient is about three times its function, and its derivative three times that.
        steps: int = loop.steps
        operations = forward * (9 * steps + 3)
        return Size(operations, graph_bytes(problem, tasks) * len(tasks))

    arguments = (*given, *(value.detach() for value in learned.values()))
    key = (differentiate.func, loop, settings.get("order"))
    found = problem.compiled.whole(function, key, size, arguments)
    if found is None:
        return None
    gradients, (losses, *needed) = found[: len(learned)], found[len(learned) :]
    metrics = problem.metrics.of(needed, tasks.query_y, losses)
    return Judgement(losses, metrics), dict(zip(learned, gradients, strict=True))
