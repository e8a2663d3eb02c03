"""The whole meta-gradient of a meta-batch by one compiled function."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from fewstep.compilation import operations_of
from fewstep.compiled import Size
from fewstep.functional import Params
from fewstep.kernels.products import LongSideLast
from fewstep.metagrad import Gradient, Judgement
from fewstep.plans import graph_bytes
from fewstep.problem import Problem
from fewstep.randomness import undisturbed
from fewstep.tasks import TaskBatch
from fewstep.vectorised import stacked


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

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(learned, tensors[4:], strict=True))
        with torch.enable_grad(), LongSideLast():  # type: ignore[no-untyped-call]
            pieces = stacked(problem, TaskBatch(*tensors[:4]), given)
            judgement, gradient = differentiate(*pieces)
        return judgement.losses, judgement.scores, *(g.mean(0) for g in gradient.values())

    def size() -> Size:
        x, y = tasks.support_x[0], tasks.support_y[0]
        with undisturbed(x.device):
            forward = operations_of(lambda: problem.support_loss(problem.start, x, y))
        # A gradient is about three times its function, and its derivative three times that.
        steps: int = loop.steps
        operations = forward * (9 * steps + 3)
        return Size(operations, graph_bytes(problem, tasks) * len(tasks))

    values = [value.detach() for value in learned.values()]

    arguments = (tasks.support_x, tasks.support_y, tasks.query_x, tasks.query_y, *values)
    key = (differentiate.func, loop, settings.get("order"))
    found = problem.compiled.whole(function, key, size, arguments)
    if found is None:
        return None
    losses, scores, *gradients = found
    return Judgement(losses, scores), dict(zip(learned, gradients, strict=True))
