"""How many tasks of a meta-batch are computed at once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from fewstep.inner import leaves
from fewstep.problem import Problem
from fewstep.randomness import undisturbed
from fewstep.tasks import TaskBatch
from fewstep.vectorised import can_vectorise

Execution = Literal["auto", "loop", "vectorised", "chunked"]

CPU_BUDGET = 64 * 2**20
"""Bytes of the graph of one inner step of the tasks that are computed at once.

Measured on two cores: up to it, fewer and larger calls pay; far beyond, memory no longer keeps up.
"""
GPU_SHARE = 1 / 64
"""The same as a share of the device's memory; a guess that leaves room for the derivatives."""
WORTH, WORTH_WITH_ONE_THREAD = 4, 8
"""With fewer tasks at once, vectorising costs more than it saves."""


class Planner:
    """Decides once for each shape of tasks and modes of layers.

    By the same rule every time, not by the clock.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._most: dict[Hashable, int] = {}

    def at_once(self, model: nn.Module, problem: Problem, tasks: TaskBatch) -> int:
        """About how many tasks to vectorise over; 0 for one after another.

        Args:
            model: As it is now; what a layer does may depend on its mode.
            problem: What each task is, with this model.
            tasks: The meta-batch.
        """
        if self.execution == "loop":
            return 0
        if self.execution == "vectorised":
            return len(tasks)
        shapes = (tasks.support_x.shape[1:], tasks.query_x.shape[1:], tasks.support_x.device)
        key = (*shapes, *(part.training for part in model.modules()))
        if key not in self._most:
            self._most[key] = self._decide(problem, tasks)
        number = min(len(tasks), self._most[key])
        return number if self.execution == "chunked" or number >= _worth() else 0

    def _decide(self, problem: Problem, tasks: TaskBatch) -> int:
        fitting = max(1, _budget(tasks.support_x.device) // max(graph_bytes(problem, tasks), 1))
        if self.execution == "chunked" or fitting < _worth():
            return fitting
        return fitting if can_vectorise(problem, tasks) else 0


def _worth() -> int:
    return WORTH if torch.get_num_threads() > 1 else WORTH_WITH_ONE_THREAD


def worth_sharing(problem: Problem, tasks: TaskBatch) -> bool:
    """Whether a meta-batch is enough work for several processes."""
    return graph_bytes(problem, tasks) * len(tasks) >= CPU_BUDGET


def graph_bytes(problem: Problem, tasks: TaskBatch) -> int:
    """What autograd keeps of one task's support loss and judgement."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    params = leaves(problem.start)
    # Copies, since what is kept of a part of the batch counts as all of it.
    x, y = tasks.support_x[0].clone(), tasks.support_y[0].clone()
    query_x, query_y = tasks.query_x[0].clone(), tasks.query_y[0].clone()
    with undisturbed(tasks.support_x.device), saved_tensors_hooks(note, lambda tensor: tensor):
        loss = problem.support_loss(params, x, y)
        judged = problem.judge(params, x, query_x, query_y)
        # Until here, or memory that is freed would be counted once for two tensors.
        del loss, judged
    return sum(kept.values())


def _budget(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory * GPU_SHARE)
    return CPU_BUDGET
