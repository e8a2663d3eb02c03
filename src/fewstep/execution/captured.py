"""A whole outer step as one CUDA graph: nothing of it is launched, or waited for, one by one.

The tasks and all that is meta-learned lie in memory that stays in place. An outer step is recorded
once for each shape of tasks, and from then on it is replayed.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fewstep.errors import UnsuitableError, first_line
from fewstep.execution.executor import MetaGradient
from fewstep.execution.kernels import NotCompiledError
from fewstep.execution.outer_step import Outcome, OuterStep
from fewstep.execution.packed import Packed, by_type
from fewstep.execution.recordings import Recordings
from fewstep.execution.vmapped import Vmapped
from fewstep.functional.guards import layer_at_fault
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import PER_STEP
from fewstep.metagrad.objective import Objective, QueryResult, Traceable
from fewstep.metagrad.unroll import GradientRule, ThroughInnerLoop
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch

log = logging.getLogger("fewstep")


class Captured(Vmapped):
    """Computes meta-gradients from recordings; query sets are evaluated vectorised.

    Args:
        objective: Of each task.
        traceable: Its parts; only what decides the recording is read.
        recordings: Those that there are.
        chunk: As for `Vmapped`.
    """

    takes_any_labels = True

    def __init__(
        self, objective: Objective, traceable: Traceable, recordings: Recordings, chunk: int
    ) -> None:
        super().__init__(objective, chunk)
        self.recordings = recordings
        self._traceable = traceable
        learned = objective.learned
        self._fixed: Params = {
            # Not detached: another may be put in the place of its data.
            name: value
            for name, value in traceable.pure.tensors.items()
            if name not in learned and PER_STEP + name not in learned
        }
        kinds = traceable.kind, traceable.by_query
        self._about = *kinds, tuple(learned), objective.modes, objective.metrics.key
        self._learned_and_fixed = [*learned.values(), *self._fixed.values()]
        self._latest: tuple[TaskBatch, GradientRule, Hashable] | None = None

    def key(self, tasks: TaskBatch, rule: GradientRule) -> Hashable:
        """All that decides what is recorded. Importances do not matter, but where they are 0."""
        latest = self._latest
        if latest is None or latest[0] is not tasks or latest[1] is not rule:
            shapes = [(t.shape, t.dtype, t.device) for t in self._tensors(tasks)]
            of = _counted(rule) if isinstance(rule, ThroughInnerLoop) else rule
            key = (of, *shapes, *self._about)
            self._latest = latest = tasks, rule, key
        return latest[2]

    def meta_gradient(self, tasks: TaskBatch, rule: GradientRule) -> MetaGradient:
        """The gradient of the mean query loss of a meta-batch.

        Args:
            tasks: The meta-batch.
            rule: Which gradient.

        Raises:
            UnsuitableError: The model or the loss cannot be computed so, or it is another rule than
                through the inner loop.
        """
        if not isinstance(rule, ThroughInnerLoop):
            raise UnsuitableError("only gradients through the inner loop are recorded")
        with torch.no_grad():
            tensors = self._tensors(tasks)
            recording = self.recordings.of(
                self.key(tasks, rule), lambda: self._record(tasks, _counted(rule), tensors)
            )
            found: Outcome = recording(tensors, rule.importances)
            metrics = found.metrics or self.objective.metrics.of(
                found.needed, tasks.query_y, found.losses
            )
        statistics = found.statistics[0][None] if found.statistics else None
        return MetaGradient(QueryResult(found.losses, metrics, statistics), found.gradient)

    def _tensors(self, tasks: TaskBatch) -> list[Tensor]:
        return [*tasks.tensors, *self._learned_and_fixed]

    def _record(
        self, tasks: TaskBatch, rule: ThroughInnerLoop, tensors: list[Tensor]
    ) -> _Recording:
        """A recording, of functions that are not compiled where the compiler fails.

        The vectorised plan is no worse where that fails too, of whatever it is.
        """
        settings = self.recordings
        try:
            with preserve_rng_state():
                try:
                    return self._recorded(tasks, rule, tensors)
                except NotCompiledError as error:
                    settings.compiled = False
                    log.warning("outer steps are recorded without a compiler (%s): slower", error)
                    return self._recorded(tasks, rule, tensors)
        except Exception as error:
            reason = _reason(error)
        # Outside, where no traceback holds what was allocated.
        if tasks.device.type == "cuda":
            # A recording that broke off may have left PyTorch's allocator unwilling.
            with suppress(RuntimeError):
                torch.cuda.empty_cache()
        raise UnsuitableError(f"an outer step is not recorded: {reason}")

    def _recorded(
        self, tasks: TaskBatch, rule: ThroughInnerLoop, tensors: list[Tensor]
    ) -> _Recording:
        learned, fixed = list(self.objective.learned), list(self._fixed)
        labels, settings = self._traceable.labels, self.recordings
        outer_step = OuterStep(self.objective, rule, frozenset(fixed), settings.compiled, labels)

        def function(static: list[Tensor], weights: Tensor) -> Outcome:
            given = iter(static)
            here = tasks.with_tensors([next(given) for _ in tasks.tensors])
            mine = {name: next(given) for name in learned}
            return outer_step(here, mine, {name: next(given) for name in fixed}, weights)

        return _Recording(function, tensors, len(rule.importances), settings.recorded)


class _Recording:
    """A function of tensors in memory that stays in place, recorded as a CUDA graph.

    Args:
        function: Of such tensors and of the weights.
        tensors: Like those that it will be called with.
        weights: How many.
        recorded: Whether to record; else it is called every time.
    """

    def __init__(
        self,
        function: Callable[[list[Tensor], Tensor], Outcome],
        tensors: list[Tensor],
        weights: int,
        recorded: bool,
    ) -> None:
        device = tensors[-1].device
        self._static = [t.detach().to(device, copy=True).contiguous() for t in tensors]
        self._weights = torch.ones(weights, dtype=torch.float64, device=device)
        self._given: list[float] = []
        # Its parts are held by the function, and so is what its key names by identity.
        self._function = function
        self._graph: Any = None
        if not recorded:
            function(self._static, self._weights)
            return
        # Another device may be the current one, whose streams record nothing of this.
        with torch.cuda.device(device):
            self._graph = self._recorded()

    def _recorded(self) -> Any:
        before = torch.cuda.current_stream()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(before)
        with torch.cuda.stream(stream):
            # Compiles, and lets libraries allocate what they need.
            self._function(self._static, self._weights)
            # What waits for the GPU breaks a recording, and PyTorch is not whole after that.
            with _waiting_refused():
                self._function(self._static, self._weights)
        before.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._packed = Packed(self._function(self._static, self._weights))
        except BaseException:
            torch.cuda.set_stream(before)
            raise
        return graph

    def __call__(self, tensors: list[Tensor], weights: Sequence[float]) -> Outcome:
        """The function's result, in memory of its own."""
        for static, given in by_type(self._static, tensors):
            torch._foreach_copy_(static, given, non_blocking=True)
        if list(weights) != self._given:
            for number, weight in enumerate(weights):
                self._weights[number].fill_(weight)
            self._given = list(weights)
        if self._graph is None:
            return self._function(self._static, self._weights)
        self._graph.replay()
        return self._packed.unpacked()


@contextmanager
def _waiting_refused() -> Iterator[None]:
    """Make an error of any operation that lets the host wait for the GPU."""
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def _counted(rule: ThroughInnerLoop) -> ThroughInnerLoop:
    """The rule with importances that only tell which are zero."""
    return replace(rule, importances=tuple(float(weight != 0) for weight in rule.importances))


def _reason(error: Exception) -> str:
    if "capture" in str(error) and isinstance(error.__context__, Exception):
        # Of a recording that broke, PyTorch tells the end of it and not the cause.
        error = error.__context__
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return "there is not enough memory for it"
    if "randomness" in text:
        return "a layer draws random numbers, and would draw the same every time"
    if "synchronizing CUDA operation" in text:
        return f"{layer_at_fault(error)} waits for the GPU, as a choice by a mask does"
    if "tracing tensor" in text:
        return f"{layer_at_fault(error)} looks at a number, which is another for other tasks"
    return f"{layer_at_fault(error)} ({first_line(error)})"
