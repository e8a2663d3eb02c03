"""A whole outer step as one CUDA graph: nothing of it is launched, or waited for, one by one.

The tasks and all that is meta-learned lie in memory that stays in place. One inner step, its
transposed derivative and the gradient of the query loss are compiled for their shapes, an outer
step is put together of them and recorded, and from then on it is replayed. It is the gradient of
`fewstep.metagrad.unroll.replayed`: of each inner step only the state is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fewstep.errors import InputError, first_line
from fewstep.execution.looped import MetaGradient
from fewstep.execution.steps import Steps, add_at_step, at_step
from fewstep.execution.traced import Linearised, Traced
from fewstep.functional.layers import layer_at_fault
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import INNER_LR, InnerLoop
from fewstep.metagrad.metrics import Metrics
from fewstep.metagrad.objective import Problem
from fewstep.metagrad.unroll import Judgement, Memory, Order
from fewstep.tasks import TaskBatch

MOST_KEPT = 4
"""Shapes of tasks of which the recording is kept, those used last."""


class NotCapturableError(InputError):
    """A model or a loss whose outer step cannot be recorded."""


class Outcome(NamedTuple):
    """What an outer step computes.

    Attributes:
        losses: ``[tasks]``, weighted.
        metrics: ``{name: [tasks]}``, of the last step; without those that users give.
        needed: What the user's metrics need of the predictions.
        statistics: ``[steps + 1, ...]``, the mean over the tasks; none or one.
        gradient: By name.
    """

    losses: Tensor
    metrics: dict[str, Tensor]
    needed: list[Tensor]
    statistics: list[Tensor]
    gradient: Params


@dataclass
class Captured:
    """Computes meta-gradients from recordings, one for each shape of tasks.

    Attributes:
        problem: What each task is.
        loop: The inner loop.
        order: Whether the inner steps' derivatives are exact.
        record: Whether the statistics of each step are wanted.
        fixed: The model's tensors that are not learned.
        compiled: Whether functions are compiled.
        recorded: Whether outer steps are recorded, which needs CUDA.
        memory: ``"fast"`` keeps of each inner step what is expensive to compute again; ``"flat"``
            its state alone.
    """

    problem: Problem
    loop: InnerLoop
    order: Order = "exact"
    record: bool = False
    fixed: Params = field(default_factory=dict)
    compiled: bool = True
    recorded: bool = True
    memory: Memory = "fast"

    def __post_init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Recording] = OrderedDict()

    def meta_gradient(self, tasks: TaskBatch, importances: Sequence[float]) -> MetaGradient:
        """The gradient of the mean query loss of a meta-batch.

        Args:
            tasks: The meta-batch.
            importances: ``steps + 1`` weights of the query losses after 0, 1, ... steps.

        Raises:
            NotCapturableError: The model or the loss cannot be computed so.
        """
        learned = {name: v.detach() for name, v in self.problem.meta_learned.items()}
        tensors = [*tasks.tensors, *learned.values(), *self.fixed.values()]
        counted = tuple(weight != 0 for weight in importances)
        key = (counted, tuple((t.shape, t.dtype, t.device) for t in tensors))
        recording = self._kept.get(key)
        if recording is None:
            try:
                recording = self._new_recording(tasks, learned, counted, tensors)
            except (RuntimeError, InputError, NotImplementedError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                raise NotCapturableError(f"not recorded for the GPU: {_reason(error)}") from error
            self._kept[key] = recording
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        with torch.no_grad():
            found = recording(tensors, importances)
            return self._told(found, tasks)

    def _new_recording(
        self, tasks: TaskBatch, learned: Params, counted: Sequence[bool], tensors: list[Tensor]
    ) -> _Recording:
        outer_step = _OuterStep(self, counted)

        def function(static: list[Tensor], weights: Tensor) -> Outcome:
            given = iter(static)
            here = tasks.with_tensors([next(given) for _ in tasks.tensors])
            mine = {name: next(given) for name in learned}
            fixed = {name: next(given) for name in self.fixed}
            return outer_step(here, mine, fixed, weights)

        with torch.no_grad():
            return _Recording(function, tensors, len(counted), self.recorded)

    def _told(self, found: Outcome, tasks: TaskBatch) -> MetaGradient:
        metrics = found.metrics or self.problem.metrics.of(
            found.needed, tasks.query_y, found.losses
        )
        statistics = found.statistics[0][None] if found.statistics else None
        return MetaGradient(Judgement(found.losses, metrics, statistics), found.gradient)


class _OuterStep:
    """An outer step as the sequence of its pieces; nothing in it waits for the device."""

    def __init__(self, captured: Captured, counted: Sequence[bool]) -> None:
        self._captured, self._loop, self._counted = captured, captured.loop, counted
        steps = Steps(captured.problem, captured.loop, captured.order, frozenset(captured.fixed))
        about = f"for the GPU ({captured.loop.steps} inner steps)"

        def traced(function: Callable[..., Any], name: str) -> Traced:
            return Traced(function, f"{name} {about}", captured.compiled)

        kept = captured.memory == "fast"
        self._step = Linearised(steps.step, f"an inner step {about}", captured.compiled, kept)
        self._query = traced(steps.query, "the query gradient")
        self._look = traced(steps.look, "the query loss")

    def __call__(
        self, tasks: TaskBatch, learned: Params, fixed: Params, weights: Tensor
    ) -> Outcome:
        loop = self._loop
        shared = [{**at_step(loop, learned, s), **fixed} for s in range(loop.steps + 1)]
        numbers = [weights.new_full((), s) for s in range(loop.steps)]
        support = (tasks.support_x, tasks.support_y)
        query = (tasks.support_x, tasks.query_x, tasks.query_y)
        own = {n: learned[n].expand(len(tasks), *learned[n].shape) for n in loop.adapting}
        state = {n: v.contiguous() for n, v in loop.begin(own).items()}
        path = []
        for step in range(loop.steps):
            arguments = (state, shared[step], numbers[step], *support)
            after, kept = self._step.forward(arguments, state)
            path.append((state, kept))
            state = after
        total = {name: torch.zeros_like(value) for name, value in learned.items()}
        rows = []
        losses, needed, statistics, cotangent, shares = self._query(
            state, _seen(shared[-1]), *query, weights[-1]
        )
        losses = losses * weights[-1]
        rows.append(statistics)
        add_at_step(loop, total, shares, loop.steps)
        for step in reversed(range(loop.steps)):
            state, kept = path.pop()
            cotangent, shares = self._step.back(kept, cotangent)
            add_at_step(loop, total, shares, step)
            if self._counted[step]:
                here, _, statistics, more, shares = self._query(
                    state, _seen(shared[step]), *query, weights[step]
                )
                losses = losses + here * weights[step]
                cotangent = {name: value + more[name] for name, value in cotangent.items()}
                add_at_step(loop, total, shares, step)
                rows.append(statistics)
            elif self._captured.record:
                rows.append(self._look(state, _seen(shared[step]), *query)[2])
        for name in loop.adapting:
            total[name] += cotangent[name].sum(0)
        gradient = {name: value / len(tasks) for name, value in total.items()}
        means = [torch.stack([r[0].mean(0) for r in reversed(rows)])] if rows[0] else []
        return Outcome(losses, *self._measured(needed, tasks, losses), means, gradient)

    def _measured(
        self, needed: list[Tensor], tasks: TaskBatch, losses: Tensor
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Metrics, where they are not the user's own, which may wait for the device."""
        metrics: Metrics = self._captured.problem.metrics
        if metrics._given:
            return {}, needed
        return metrics.of(needed, tasks.query_y, losses), []


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
        self._weights = torch.zeros(weights, dtype=torch.float64, device=device)
        self._given: list[float] = []
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        if not recorded:
            function(self._static, self._weights)
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            # Compiles, and lets libraries allocate what they need.
            function(self._static, self._weights)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outcome = _packed(function(self._static, self._weights))

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
        return _unpacked(self._outcome)


def _by_type(*lists: list[Tensor]) -> Iterator[tuple[list[Tensor], ...]]:
    """The same lists cut into parts whose tensors are of one type, which are copied at once."""
    rows = list(zip(*lists, strict=True))
    for kind in dict.fromkeys(row[-1].dtype for row in rows):
        same = [row for row in rows if row[-1].dtype is kind]
        yield tuple(map(list, zip(*same, strict=True)))


class _Packed(NamedTuple):
    """Tensors of one type side by side, and what each of a tree was.

    Attributes:
        flat: One tensor a type.
        places: Of each tensor of the tree, in order: its type, where it begins, and its shape.
        form: Of the tree.
    """

    flat: dict[torch.dtype, Tensor]
    places: list[tuple[torch.dtype, int, torch.Size]]
    form: pytree.TreeSpec


def _packed(tree: Outcome) -> _Packed:
    tensors, form = pytree.tree_flatten(tree)
    parts: dict[torch.dtype, list[Tensor]] = {}
    ends: dict[torch.dtype, int] = {}
    places = []
    for tensor in tensors:
        begin = ends.get(tensor.dtype, 0)
        places.append((tensor.dtype, begin, tensor.shape))
        parts.setdefault(tensor.dtype, []).append(tensor.reshape(-1))
        ends[tensor.dtype] = begin + tensor.numel()
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


def _seen(shared: Params) -> Params:
    """What the model consists of, of what tasks share."""
    return {name: value for name, value in shared.items() if not name.startswith(INNER_LR)}


def _reason(error: Exception) -> str:
    if "randomness" in str(error):
        return "a layer draws random numbers, which a recording would repeat"
    return f"{layer_at_fault(error)} ({first_line(error)})"
