"""A whole outer step as one CUDA graph: nothing of it is launched, or waited for, one by one.

The tasks and all that is meta-learned lie in memory that stays in place. An outer step is recorded
once for each shape of tasks, and from then on it is replayed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fewstep.errors import InputError, UnsuitableError, first_line
from fewstep.execution.executor import MetaGradient
from fewstep.execution.outer_step import Outcome, OuterStep
from fewstep.execution.vmapped import Vmapped
from fewstep.functional.guards import layer_at_fault
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import PER_STEP
from fewstep.metagrad.objective import Objective, QueryResult, Traceable
from fewstep.metagrad.unroll import GradientRule, ThroughInnerLoop
from fewstep.tasks import TaskBatch

MOST_KEPT = 4
"""Recordings that are kept, those used last."""


@dataclass
class Recordings:
    """The recordings of one learner.

    Attributes:
        compiled: Whether functions are compiled.
        recorded: Whether outer steps are recorded, which needs CUDA; else they are computed in the
            same memory, operation by operation.
    """

    compiled: bool = True
    recorded: bool = True
    _kept: OrderedDict[Hashable, _Recording] = field(default_factory=OrderedDict)

    def of(self, key: Hashable, record: Callable[[], _Recording]) -> _Recording:
        """The recording of a key, made now where there is none."""
        if key not in self._kept:
            self._kept[key] = record()
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, in another process perhaps, records its own.
        return Recordings, (self.compiled, self.recorded)


class Captured(Vmapped):
    """Computes meta-gradients from recordings; query sets are evaluated vectorised.

    Args:
        objective: Of each task.
        traceable: Its parts; only what decides the recording is read.
        recordings: Those that there are.
        chunk: As for `Vmapped`.
    """

    def __init__(
        self, objective: Objective, traceable: Traceable, recordings: Recordings, chunk: int
    ) -> None:
        super().__init__(objective, chunk)
        self.recordings = recordings
        self._kind: Hashable = (traceable.kind, traceable.by_query)
        learned = objective.learned
        self._fixed: Params = {
            name: value.detach()
            for name, value in traceable.pure.tensors.items()
            if name not in learned and PER_STEP + name not in learned
        }

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
        learned = {name: v.detach() for name, v in self.objective.learned.items()}
        tensors = [*tasks.tensors, *learned.values(), *self._fixed.values()]
        counted = tuple(float(weight != 0) for weight in rule.importances)
        rule_of_key = replace(rule, importances=counted)
        shapes = tuple((t.shape, t.dtype, t.device) for t in tensors)
        key = (rule_of_key, shapes, tuple(learned), self.objective.modes, self._kind)
        with torch.no_grad():
            recording = self.recordings.of(
                key, lambda: self._record(tasks, learned, rule_of_key, tensors)
            )
            found = recording(tensors, rule.importances)
            metrics = found.metrics or self.objective.metrics.of(
                found.needed, tasks.query_y, found.losses
            )
        statistics = found.statistics[0][None] if found.statistics else None
        return MetaGradient(QueryResult(found.losses, metrics, statistics), found.gradient)

    def _record(
        self, tasks: TaskBatch, learned: Params, rule: ThroughInnerLoop, tensors: list[Tensor]
    ) -> _Recording:
        fixed = self._fixed
        settings = self.recordings
        outer_step = OuterStep(self.objective, rule, frozenset(fixed), settings.compiled)

        def function(static: list[Tensor], weights: Tensor) -> Outcome:
            given = iter(static)
            here = tasks.with_tensors([next(given) for _ in tasks.tensors])
            mine = {name: next(given) for name in learned}
            return outer_step(here, mine, {name: next(given) for name in fixed}, weights)

        try:
            return _Recording(function, tensors, len(rule.importances), settings.recorded)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError, NotImplementedError, InputError) as error:
            raise UnsuitableError(f"an outer step is not recorded: {_reason(error)}") from error


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
        self._static = [t.to(device, copy=True).contiguous() for t in tensors]
        self._weights = torch.ones(weights, dtype=torch.float64, device=device)
        self._given: list[float] = []
        self._function = function
        self._graph: Any = None
        if not recorded:
            function(self._static, self._weights)
            return
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            # Compiles, and lets libraries allocate what they need.
            function(self._static, self._weights)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._packed = _packed(function(self._static, self._weights))

    def __call__(self, tensors: list[Tensor], weights: Sequence[float]) -> Outcome:
        """The function's result, in memory of its own."""
        for static, given in _by_type(self._static, tensors):
            torch._foreach_copy_(static, given, non_blocking=True)
        if list(weights) != self._given:
            for number, weight in enumerate(weights):
                self._weights[number].fill_(weight)
            self._given = list(weights)
        if self._graph is None:
            return self._function(self._static, self._weights)
        self._graph.replay()
        return _unpacked(self._packed)


def _by_type(*lists: list[Tensor]) -> Iterator[tuple[list[Tensor], ...]]:
    """The same lists cut into parts whose tensors are of one type, which are copied at once."""
    rows = list(zip(*lists, strict=True))
    for kind in dict.fromkeys(row[-1].dtype for row in rows):
        same = [row for row in rows if row[-1].dtype is kind]
        yield tuple(map(list, zip(*same, strict=True)))


class _Packed(NamedTuple):
    """A tree of tensors, as one tensor a type, which is copied faster.

    Attributes:
        flat: The tensors of a type side by side.
        places: Of each tensor of the tree, in order: its type, where it begins, and its shape.
        form: Of the tree.
    """

    flat: dict[torch.dtype, Tensor]
    places: list[tuple[torch.dtype, int, torch.Size]]
    form: pytree.TreeSpec


def _packed(tree: Outcome) -> _Packed:
    tensors, form = pytree.tree_flatten(tree)
    parts: dict[torch.dtype, list[Tensor]] = {}
    places = []
    for tensor in tensors:
        before = parts.setdefault(tensor.dtype, [])
        places.append((tensor.dtype, sum(t.numel() for t in before), tensor.shape))
        before.append(tensor.reshape(-1))
    return _Packed({kind: torch.cat(some) for kind, some in parts.items()}, places, form)


def _unpacked(packed: _Packed) -> Outcome:
    """The tree again, in new memory."""
    flat = {kind: tensor.clone() for kind, tensor in packed.flat.items()}
    tensors = [
        flat[kind][begin : begin + shape.numel()].view(shape)
        for kind, begin, shape in packed.places
    ]
    found: Outcome = pytree.tree_unflatten(tensors, packed.form)
    return found


def _reason(error: Exception) -> str:
    text = str(error)
    if "randomness" in text:
        return "a layer draws random numbers, and would draw the same every time"
    if "tracing tensor" in text:
        return f"{layer_at_fault(error)} looks at a number, which is another for other tasks"
    return f"{layer_at_fault(error)} ({first_line(error)})"
