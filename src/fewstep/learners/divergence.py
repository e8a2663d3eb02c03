"""Where a meta-gradient that is not finite comes from."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fewstep.errors import InputError
from fewstep.execution.executor import MetaGradient, Path
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn
from fewstep.metagrad.objective import Objective
from fewstep.runtime.rng import first_task
from fewstep.tasks import TaskBatch, tensors_of
from fewstep.whole_numbers import counted


class DivergedError(InputError):
    """A loss or a gradient that is not finite: what it is, in words, and of which task if known."""

    def __init__(self, what: str, task: int | None) -> None:
        where = "" if task is None else f" in task {task}"
        given = "has a number" in what
        cure = "mend the examples" if given else "try a smaller inner_lr or fewer inner steps"
        super().__init__(f"{what}{where}; {cure}")
        self.what = what
        self.task = task

    def __reduce__(self) -> "tuple[type[DivergedError], tuple[str, int | None]]":
        return DivergedError, (self.what, self.task)


def check_finite(
    found: MetaGradient, objective: Callable[[], Objective], tasks: TaskBatch, path: Path
) -> None:
    """See that all is finite, asking a GPU once; `DivergedError` names the task and inner step."""
    lengths = torch._foreach_norm(list(found.gradient.values()))
    if math.isfinite(torch.stack([*lengths, found.query.losses.sum()]).sum().item()):
        return
    tensors = {"the query loss": found.query.losses, **found.gradient}
    bad = [name for name, tensor in tensors.items() if not _finite(tensor)]
    if not bad:
        return
    for number in range(len(tasks)):
        what = _first_not_finite(objective(), tasks, number, path)
        if what:
            raise DivergedError(what, first_task() + number)
    of_gradient = f"the gradient of {bad[0]!r} is not finite"
    raise DivergedError(bad[0] if bad[0] == "the query loss" else of_gradient, None)


def check_adapted(objective: Objective, tasks: TaskBatch, params: Params, path: Path) -> None:
    """See that parameters adapted to the only one of ``tasks`` are finite."""
    if not all(map(_finite, params.values())):
        raise DivergedError(_first_not_finite(objective, tasks, 0, path) or "adapted weights", None)


def _first_not_finite(
    objective: Objective, tasks: TaskBatch, number: int, path: Path
) -> str | None:
    """First part of a task that is not finite, in words; None where all are."""
    support_x, support_y, query_x, query_y = tasks.task(number)
    for name, inputs in (("support_x", support_x), ("query_x", query_x)):
        if not all(map(_finite, tensors_of(inputs))):
            return f"{name} has a number that is not finite"

    def support_loss(params: Params, _: int) -> Tensor:
        return objective.support_loss(params, support_x, support_y)

    for step, params in enumerate(path(GradFn(support_loss), objective.learned)):
        if not all(map(_finite, params.values())):
            return f"the parameters are not finite after {counted(step, 'inner step')}"
        if not _finite(support_loss(params, step)):
            return f"the support loss is not finite after {counted(step, 'inner step')}"
    loss, *_ = objective.evaluate_query(params, support_x, query_x, query_y)
    if _finite(loss):
        return None
    return f"the query loss is not finite after {counted(step, 'inner step')}"


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.detach().isfinite().all())
