"""How many tasks of a meta-batch are computed at once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from fewstep.execution.vmapped import NotVectorisableError, can_vectorise
from fewstep.metagrad.inner_loop import as_leaf_tensors
from fewstep.metagrad.objective import Objective
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch, map_tensors

Execution = Literal["auto", "loop", "vectorised", "chunked"]

CPU_BUDGET = 64 * 2**20
"""Bytes of the graph of one inner step of the tasks that are computed at once.

Measured on two cores: up to it, fewer and larger calls pay; far beyond, memory no longer keeps up.
"""
GPU_SHARE = 1 / 64
"""The same as a share of the device's memory; a guess that leaves room for the derivatives."""
MIN_VMAP_TASKS, MIN_VMAP_TASKS_ONE_THREAD = 4, 8
"""With fewer tasks at once, vectorising costs more than it saves."""


class Planner:
    """Decides once for each shape of tasks and modes of layers.

    By the same rule every time, not by the clock.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._most: dict[Hashable, int] = {}

    def at_once(self, objective: Objective, together: bool, tasks: TaskBatch) -> int:
        """About how many tasks to vectorise over; 0 for one after another.

        Args:
            objective: What each task is, with the model as it is now.
            together: Whether several tasks at once would be what they are alone. Where the model
                draws from generators that are not PyTorch's, those would be asked once for all.
            tasks: The meta-batch.

        Raises:
            NotVectorisableError: It is to be vectorised, and cannot be.
        """
        if self.execution == "loop":
            return 0
        if not together:
            if self.execution == "auto":
                return 0
            raise NotVectorisableError(
                "the model draws random numbers from a generator that is not PyTorch's own, which "
                'vmap would ask once for all tasks; use that one, or execution="loop"'
            )
        if self.execution == "vectorised":
            return len(tasks)
        key = _key(objective, tasks)
        if key not in self._most:
            self._most[key] = self._decide(objective, tasks)
        number = min(len(tasks), self._most[key])
        return number if self.execution == "chunked" or number >= _min_vmap_tasks() else 0

    def give_up(self, objective: Objective, tasks: TaskBatch) -> None:
        """Vectorise such tasks no more."""
        self._most[_key(objective, tasks)] = 0

    def _decide(self, objective: Objective, tasks: TaskBatch) -> int:
        fitting = max(1, _budget(tasks.device) // max(graph_bytes(objective, tasks), 1))
        if self.execution == "chunked" or fitting < _min_vmap_tasks():
            return fitting
        return fitting if can_vectorise(objective, tasks) else 0


def _key(objective: Objective, tasks: TaskBatch) -> Hashable:
    return (*(t.shape[1:] for t in tasks.tensors), tasks.device, objective.modes)


def _min_vmap_tasks() -> int:
    return MIN_VMAP_TASKS if torch.get_num_threads() > 1 else MIN_VMAP_TASKS_ONE_THREAD


def should_parallelise(objective: Objective, tasks: TaskBatch, steps: int = 1) -> bool:
    """Whether so many inner steps of a meta-batch are enough work for several processes."""
    return graph_bytes(objective, tasks) * len(tasks) * steps >= CPU_BUDGET


def graph_bytes(objective: Objective, tasks: TaskBatch) -> int:
    """What autograd keeps of one task's support loss and query loss."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    params = as_leaf_tensors(objective.start)
    # Copies, since what is kept of a part of the batch counts as all of it.
    x, y, query_x, query_y = (map_tensors(torch.clone, part) for part in tasks.task(0))
    try:
        with preserve_rng_state(tasks.device), saved_tensors_hooks(note, lambda tensor: tensor):
            loss = objective.support_loss(params, x, y)
            results = objective.evaluate_query(params, x, query_x, query_y)
            # Until here, or memory that is freed would be counted once for two tensors.
            del loss, results
    except RuntimeError as error:
        # Transformations of torch.func inside of a model do not go with such hooks.
        if "saved tensor hooks" not in str(error):
            raise
        return CPU_BUDGET
    return sum(kept.values())


def _budget(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory * GPU_SHARE)
    return CPU_BUDGET
