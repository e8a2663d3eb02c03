"""How many tasks of a meta-batch are computed at once."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep.engine import Problem, can_vectorise
from fewstep.randomness import undisturbed
from fewstep.tasks import TaskBatch

Execution = Literal["auto", "loop", "vectorised", "chunked"]

CPU_BUDGET = 64 * 2**20
"""Bytes of a forward pass of the tasks that are computed at once.

Measured on two cores: up to it, fewer and larger calls pay; far beyond, memory no longer keeps up.
"""
GPU_SHARE = 1 / 64
"""The same as a share of the device's memory; a guess that leaves room for the derivatives."""
WORTH = 4
"""With fewer tasks at once, vectorising costs more than it saves."""


class Planner:
    """Decides once for each shape of tasks, by the same rule every time, not by the clock."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._decided: dict[tuple[torch.Size, torch.Size, torch.device], int] = {}

    def at_once(self, problem: Problem, tasks: TaskBatch) -> int:
        """How many tasks to vectorise over at most; 0 for one after another."""
        if self.execution == "loop":
            return 0
        if self.execution == "vectorised":
            return len(tasks)
        key = (tasks.support_x.shape, tasks.query_x.shape, tasks.support_x.device)
        if key not in self._decided:
            self._decided[key] = self._decide(problem, tasks)
        return self._decided[key]

    def _decide(self, problem: Problem, tasks: TaskBatch) -> int:
        fitting = _budget(tasks.support_x.device) // max(forward_bytes(problem, tasks), 1)
        number = max(1, min(len(tasks), fitting))
        if self.execution == "chunked":
            return number
        return number if number >= WORTH and can_vectorise(problem, tasks) else 0


def worth_sharing(problem: Problem, tasks: TaskBatch) -> bool:
    """Whether a meta-batch is enough work for several processes."""
    return forward_bytes(problem, tasks) * len(tasks) >= CPU_BUDGET


def forward_bytes(problem: Problem, tasks: TaskBatch) -> int:
    """What all operations of one task's support loss and judgement put out together."""
    counting = _Counting()  # type: ignore[no-untyped-call]
    with torch.no_grad(), undisturbed(tasks.support_x.device), counting:
        problem.support_loss(problem.start, tasks.support_x[0], tasks.support_y[0])
        problem.judge(problem.start, tasks.support_x[0], tasks.query_x[0], tasks.query_y[0])
    return counting.bytes


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    bytes: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(value, Tensor) and not func.is_view:
                self.bytes += value.nbytes
        return result


def _budget(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory * GPU_SHARE)
    return CPU_BUDGET
