"""Which executor computes a meta-batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from fewstep.choices import Execution
from fewstep.errors import InputError, UnsuitableError
from fewstep.execution import whole
from fewstep.execution.compiled import Compiled
from fewstep.execution.executor import Executor
from fewstep.execution.grouped import Grouped
from fewstep.execution.looped import Looped
from fewstep.execution.padding import Part, padded, unpadded
from fewstep.execution.recordings import Recordings
from fewstep.execution.vmapped import Vmapped, can_vectorise
from fewstep.functional.held import TOO_MUCH
from fewstep.functional.structure import Latest
from fewstep.metagrad.inner_loop import as_leaf_tensors
from fewstep.metagrad.objective import Objective, Traceable
from fewstep.metagrad.unroll import GradientRule, ThroughInnerLoop
from fewstep.runtime.compile_cache import count_operations
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch, map_tensors

if TYPE_CHECKING:
    from fewstep.execution.captured import Captured

log = logging.getLogger("fewstep")

Found = TypeVar("Found")

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

    Attributes:
        recordings: Those of outer steps.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._most: dict[Hashable, int] = {}
        self._whole: dict[Hashable, bool | None] = {}
        self.recordings = Recordings()
        self._latest: Latest[Captured] = Latest()
        self._told: set[str] = set()

    def run(
        self,
        objective: Objective,
        tasks: TaskBatch,
        compute: Callable[[Executor], Found],
        rule: GradientRule | None = None,
    ) -> Found:
        """Compute by the best suitable executor, a meta-gradient where a rule is given.

        `UnsuitableError` where it is to be vectorised, and cannot be.
        """
        if rule is not None and self.execution == "captured" and not self.may_record(tasks):
            raise InputError(
                f"execution is captured, and the tasks are on {tasks.device}; a CUDA graph is "
                "recorded on a GPU alone: use device cuda or execution auto"
            )
        if tasks.is_uneven:
            divide = partial(self._divide, objective, rule)
            one = self.run if self.execution == "captured" else self._run_unrecorded
            return compute(Grouped(objective, divide, partial(one, rule=rule)))
        if rule is not None and self.may_record(tasks):
            recorder = self._recorder(objective, tasks, rule)
            if recorder is not None:
                try:
                    return compute(recorder)
                except UnsuitableError as error:
                    self.recordings.refuse(recorder.key(tasks, rule))
                    self._tell(str(error))
        return self._run_unrecorded(objective, tasks, compute, rule)

    def _run_unrecorded(
        self,
        objective: Objective,
        tasks: TaskBatch,
        compute: Callable[[Executor], Found],
        rule: GradientRule | None = None,
    ) -> Found:
        state = torch.get_rng_state()
        while True:
            executor = self.executor(objective, tasks, rule)
            try:
                return compute(executor)
            except UnsuitableError:
                # Of compiled functions none will be used from now on. The model has changed since
                # it was vectorised, a dropout perhaps.
                if isinstance(executor, Vmapped) and not isinstance(executor, whole.Whole):
                    if self.execution not in ("auto", "captured"):
                        raise
                    self._most[_key(objective, tasks)] = 0
            torch.set_rng_state(state)

    def executor(
        self, objective: Objective, tasks: TaskBatch, rule: GradientRule | None = None
    ) -> Executor:
        """The executor where nothing is recorded; arguments and errors are those of `run`."""
        chunk = self._chunk(objective, tasks)
        traceable = objective.traceable
        functions = None if traceable is None else traceable.functions
        compiles = functions is not None and not functions.given_up
        if compiles and rule is not None and chunk >= len(tasks):
            single_thread = self._single_thread(objective, tasks, rule)
            if single_thread is not None:
                return whole.Whole(objective, chunk, single_thread)
        if compiles and (rule is not None or not chunk):
            return Compiled(objective)
        return Vmapped(objective, chunk) if chunk else Looped(objective)

    def may_record(self, tasks: TaskBatch) -> bool:
        """Whether meta-gradients may be recorded, as far as the tasks tell.

        Unasked, not of tasks of different sizes, since these are others each time.
        """
        on_device = tasks.device.type == "cuda" or not self.recordings.recorded
        if self.execution == "auto":
            return on_device and not tasks.is_uneven
        return on_device and self.execution == "captured"

    def _divide(
        self, objective: Objective, rule: GradientRule | None, tasks: TaskBatch
    ) -> list[Part]:
        """Tasks of different sizes in parts of one size, as few as pay."""
        parts = padded(objective, tasks)
        # One after another they need no padding.
        if not parts or type(self.executor(parts[0].objective, parts[0].tasks, rule)) is Looped:
            return unpadded(objective, tasks)
        return parts

    def _recorder(
        self, objective: Objective, tasks: TaskBatch, rule: GradientRule
    ) -> Captured | None:
        """The executor of recorded outer steps, where this is one; a line where none can be."""
        traceable = objective.traceable
        if traceable is not None and traceable.functions is not None:
            return None
        reason = None
        if traceable is None or not isinstance(rule, ThroughInnerLoop):
            reason = "outer steps of MAML alone are recorded"
        elif not objective.vectorisable:
            reason = "the model draws random numbers by itself"
        elif traceable.held[-1:] == [TOO_MUCH]:
            reason = f"the code of the model or of the loss reads {TOO_MUCH}"
        if reason or traceable is None or not isinstance(rule, ThroughInnerLoop):
            if self._wants(_key(objective, tasks)):
                self._tell(f"an outer step is not recorded: {reason}")
            return None
        recorder = self._captured(objective, traceable, len(tasks))
        return recorder if self._wants(recorder.key(tasks, rule)) else None

    def _wants(self, key: Hashable) -> bool:
        return self.recordings.wants(key, at_once=self.execution == "captured")

    def _captured(self, objective: Objective, traceable: Traceable, tasks: int) -> Captured:
        # What it needs of PyTorch takes seconds to import.
        from fewstep.execution.captured import Captured

        kept = self.recordings
        return self._latest.of(
            [objective, tasks, kept], lambda: Captured(objective, traceable, kept, tasks)
        )

    def _tell(self, reason: str) -> None:
        """Say why there is no recording, once; a warning where one was asked for."""
        if reason not in self._told:
            level = logging.WARNING if self.execution == "captured" else logging.INFO
            log.log(level, "%s; computed without", reason)
        self._told.add(reason)

    def _chunk(self, objective: Objective, tasks: TaskBatch) -> int:
        """About how many tasks to vectorise over; 0 for one after another."""
        if self.execution == "loop":
            return 0
        if not objective.vectorisable:
            if self.execution in ("auto", "captured"):
                return 0
            raise UnsuitableError(
                "the model draws random numbers from a generator that is not PyTorch's own, which "
                'vmap would ask once for all tasks; use that one, or execution="loop"'
            )
        if self.execution == "vectorised":
            return len(tasks)
        key = _key(objective, tasks)
        if key not in self._most:
            self._most[key] = self._fitting(objective, tasks)
        number = min(len(tasks), self._most[key])
        return number if self.execution == "chunked" or number >= _min_vmap_tasks() else 0

    def _fitting(self, objective: Objective, tasks: TaskBatch) -> int:
        budget = CPU_BUDGET
        if tasks.device.type == "cuda":
            memory = torch.cuda.get_device_properties(tasks.device).total_memory
            budget = int(memory * GPU_SHARE)
        fitting = max(1, budget // max(graph_bytes(objective, tasks), 1))
        if self.execution == "chunked" or fitting < _min_vmap_tasks():
            return fitting
        return fitting if can_vectorise(objective, tasks) else 0

    def _single_thread(
        self, objective: Objective, tasks: TaskBatch, rule: GradientRule
    ) -> bool | None:
        """Whether one thread is to compute a meta-gradient; None where it is not compiled whole."""
        traceable = objective.traceable
        assert traceable is not None
        # Other importances change from outer step to outer step.
        if not isinstance(rule, ThroughInnerLoop) or not rule.of_last_loss:
            return None
        if not traceable.learned_alone:
            return None
        key = (len(tasks), rule, traceable.kind, *_key(objective, tasks))
        if key not in self._whole:
            x, y, *_ = tasks.task(0)
            with preserve_rng_state():
                forward = count_operations(lambda: objective.support_loss(objective.start, x, y))
            # A gradient is about three times its function, and its derivative three times that.
            few = forward * (9 * rule.loop.steps + 3) <= whole.MOST_OPERATIONS
            kept = graph_bytes(objective, tasks) * len(tasks)
            self._whole[key] = kept < whole.WORTH_TWO_THREADS if few else None
        return self._whole[key]


def _key(objective: Objective, tasks: TaskBatch) -> tuple[Hashable, ...]:
    return (*(t.shape[1:] for t in tasks.tensors), tasks.device, objective.modes)


def _min_vmap_tasks() -> int:
    return MIN_VMAP_TASKS if torch.get_num_threads() > 1 else MIN_VMAP_TASKS_ONE_THREAD


def should_parallelise(objective: Objective, tasks: TaskBatch, steps: int = 1) -> bool:
    """Whether so many inner steps of a meta-batch are enough work for several processes.

    Measured on two cores: two processes gain 1.3 to 1.6 times from here on, and nothing at a third
    of the budget.
    """
    return graph_bytes(objective, tasks) * len(tasks) * steps >= CPU_BUDGET // 2


def graph_bytes(objective: Objective, tasks: TaskBatch) -> int:
    """Bytes that autograd keeps of one task's support loss and query loss."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        # Without its graph, of which it may be an output: it would keep that, and itself, for good.
        return tensor.detach()

    params = as_leaf_tensors(objective.start)
    # Copies, since what is kept of a part of the batch counts as all of it.
    x, y, query_x, query_y = (map_tensors(torch.clone, part) for part in tasks.task(0))
    try:
        with preserve_rng_state(), saved_tensors_hooks(note, lambda tensor: tensor):
            loss = objective.support_loss(params, x, y)
            output = objective.evaluate_query(params, x, query_x, query_y)
            # Until here, or memory that is freed would be counted once for two tensors.
            del loss, output
    except RuntimeError as error:
        # Transformations of torch.func inside of a model do not go with such hooks.
        if "saved tensor hooks" not in str(error):
            raise
        return CPU_BUDGET
    return sum(kept.values())
