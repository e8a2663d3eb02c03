"""Tasks of an outer step as one object, which all learners take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Union

import torch
from torch import Tensor

from fewstep.errors import InputError

Inputs = Union[Tensor, tuple["Inputs", ...], dict[str, "Inputs"]]  # noqa: UP007
"""Inputs of a model: a tensor, a tuple for ``model(*x)``, a dict for ``model(**x)``."""


def map_tensors(function: Callable[..., Tensor], *inputs: Any) -> Any:
    """Call a function with each tensor, or with those at the same place of several inputs."""
    first = inputs[0]
    if isinstance(first, dict):
        return {key: map_tensors(function, *(x[key] for x in inputs)) for key in first}
    if isinstance(first, tuple):
        return tuple(map_tensors(function, *parts) for parts in zip(*inputs, strict=True))
    return function(*inputs)


def tensors_of(inputs: Inputs) -> list[Tensor]:
    """Return the tensors that inputs consist of, in order."""
    if isinstance(inputs, Tensor):
        return [inputs]
    parts = inputs.values() if isinstance(inputs, dict) else inputs
    return [tensor for part in parts for tensor in tensors_of(part)]


def fresh(inputs: Inputs) -> Inputs:
    """Return the same inputs as new tensors that share their memory.

    A model that differentiates by its input would otherwise reach, in one inner step, through
    those before it, which were given the same tensor.
    """

    def alias(x: Tensor) -> Tensor:
        return x.view_as(x) if x.layout is torch.strided else x.detach()

    return map_tensors(alias, inputs)  # type: ignore[no-any-return]


_PARTS = ("support_x", "support_y", "query_x", "query_y")


@dataclass(frozen=True, eq=False, repr=False)
class TaskBatch:
    """The tasks of one outer step. The first dimension of every tensor is the task.

    Attributes:
        support_x: ``[tasks, support examples, ...]``, the inputs to adapt on. A tuple of such
            tensors is given to the model as ``model(*x)``, a dict as ``model(**x)``.
        support_y: ``[tasks, support examples, ...]``, their targets.
        query_x: ``[tasks, query examples, ...]``, the inputs to be evaluated on.
        query_y: ``[tasks, query examples, ...]``, their targets.
        classes: ``int64 [tasks, ways]`` or None: which class of the data set each label stands
            for in each task. Adaptation never sees it.

    Raises:
        InputError: The shapes do not fit one another.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> tasks = fewstep.TaskBatch(x[:, :3], y[:, :3], x[:, 3:], y[:, 3:])
    >>> tasks
    TaskBatch(8 tasks, support_x=[8, 3, 4], support_y=[8, 3], query_x=[8, 3, 4], query_y=[8, 3])
    >>> len(tasks[:2]), tasks.task(0)[0].shape
    (2, torch.Size([3, 4]))
    """

    support_x: Inputs
    support_y: Tensor
    query_x: Inputs
    query_y: Tensor
    classes: Tensor | None = None

    def __post_init__(self) -> None:
        tasks: int | None = None
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.name != "classes":
                tasks = _checked(field.name, value, tasks)
        for part in ("support", "query"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            for name, tensor in _named(f"{part}_x", x):
                if tensor.shape[:2] != y.shape[:2]:
                    raise InputError(
                        f"{name} is {list(tensor.shape)} and {part}_y {list(y.shape)}; expected "
                        "the same [tasks, examples] in front"
                    )
        _check_alike("example", self.support_x, self.query_x)
        _check_alike("target", self.support_y, self.query_y)

    @classmethod
    def stack(cls, tasks: Iterable[Sequence[Any]]) -> TaskBatch:
        """Make a batch of single tasks, ``(support_x, support_y, query_x, query_y)`` each.

        Args:
            tasks: Their tensors are ``[examples, ...]``, of the same shape in every task.

        Raises:
            InputError: There is none, or one is of another shape than the first.
        """
        rows = list(tasks)
        for number, row in enumerate(rows):
            if not isinstance(row, Sequence) or len(row) != 4:
                length = f" of {len(row)}" if isinstance(row, Sequence) else ""
                raise InputError(
                    f"task {number} is a {type(row).__name__}{length}; expected the four of "
                    "(support_x, support_y, query_x, query_y)"
                )
        if not rows:
            raise InputError("no task is given; expected at least one")
        columns = []
        for name, column in zip(_PARTS, zip(*rows, strict=True), strict=True):
            first = dict(_named(name, column[0]))
            for number, value in enumerate(column):
                _check_as_first(name, number, dict(_named(name, value)), first)
            columns.append(map_tensors(lambda *tensors: torch.stack(tensors), *column))
        return cls(*columns)

    def __repr__(self) -> str:
        parts = zip(_PARTS, self._parts, strict=True)
        shapes = ", ".join(f"{name}={_shapes(part)}" for name, part in parts)
        return f"TaskBatch({len(self)} tasks, {shapes})"

    def __len__(self) -> int:
        return len(tensors_of(self.support_x)[0])

    def __getitem__(self, tasks: slice) -> TaskBatch:
        if not isinstance(tasks, slice):
            raise InputError(
                f"tasks[{tasks!r}] is no batch; expected a slice, as in tasks[0:1], or "
                f"tasks.task({tasks!r}) for the tensors of one task"
            )
        return self._map(lambda tensor: tensor[tasks])

    def task(self, number: int) -> tuple[Inputs, Tensor, Inputs, Tensor]:
        """Return support_x, support_y, query_x, query_y of one task, ``[examples, ...]`` each."""
        return tuple(map_tensors(lambda tensor: tensor[number], part) for part in self._parts)

    @property
    def device(self) -> torch.device:
        """Where the tasks are."""
        return self.support_y.device

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors but the classes, in order."""
        return [tensor for part in self._parts for tensor in tensors_of(part)]

    def with_tensors(self, tensors: Iterable[Tensor]) -> TaskBatch:
        """Return tasks of the same form with other tensors, in the order of `tensors`."""
        others: Iterator[Tensor] = iter(tensors)
        return TaskBatch(*(map_tensors(lambda _: next(others), part) for part in self._parts))

    def to(self, device: torch.device | str) -> TaskBatch:
        """Return the same tasks on another device."""
        if all(tensor.device == torch.device(device) for tensor in self.tensors):
            return self
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> TaskBatch:
        """Return the same tasks in memory that a GPU can copy from by itself."""
        return self._map(lambda tensor: tensor.pin_memory())

    @property
    def _parts(self) -> tuple[Inputs, Tensor, Inputs, Tensor]:
        return self.support_x, self.support_y, self.query_x, self.query_y

    def _map(self, change: Callable[[Tensor], Tensor]) -> TaskBatch:
        values = (getattr(self, field.name) for field in fields(self))
        changed: list[Any] = [None if v is None else map_tensors(change, v) for v in values]
        return TaskBatch(*changed)


def _named(name: str, value: Inputs) -> list[tuple[str, Tensor]]:
    """The tensors of a value, each with the words that lead to it."""
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in _named(f"{name}[{key!r}]", part)]
    if isinstance(value, tuple):
        parts = enumerate(value)
        return [pair for number, part in parts for pair in _named(f"{name}[{number}]", part)]
    return [(name, value)]


def _checked(name: str, value: Any, tasks: int | None) -> int:
    """The number of tasks of a part, which is that of the parts before it."""
    nested = name.endswith("_x")
    named = _named(name, value) if nested else [(name, value)]
    if not named:
        raise InputError(f"{name} is empty; expected at least one tensor")
    for of, tensor in named:
        if not isinstance(tensor, Tensor):
            also = ", or a tuple or dict of such" if nested else ""
            raise InputError(f"{of} is a {type(tensor).__name__}; expected a torch.Tensor{also}")
        if tensor.dim() < 2 or 0 in tensor.shape:
            raise InputError(
                f"{of} is {list(tensor.shape)}; expected [tasks, examples, ...] with at least one "
                "of each"
            )
        tasks = tasks or len(tensor)
        if len(tensor) != tasks:
            raise InputError(
                f"{of} has {len(tensor)} tasks and support_x {tasks}; expected the same number"
            )
    return len(named[0][1])


def _check_as_first(
    name: str, number: int, parts: dict[str, Tensor], first: dict[str, Tensor]
) -> None:
    """See that a task has the parts of task 0, and that they are tensors of the same shapes."""
    if parts.keys() != first.keys():
        told, of_first = (", ".join(each) or f"no {name}" for each in (parts, first))
        raise InputError(
            f"task {number} has {told} and task 0 {of_first}; expected the same parts in every task"
        )
    for part, tensor in parts.items():
        if not isinstance(tensor, Tensor):
            raise InputError(
                f"{part} of task {number} is a {type(tensor).__name__}; expected a torch.Tensor"
            )
        if tensor.shape != first[part].shape:
            raise InputError(
                f"{part} of task {number} is {list(tensor.shape)} and of task 0 "
                f"{list(first[part].shape)}; expected the same shape in every task"
            )


def _check_alike(kind: str, support: Inputs, query: Inputs) -> None:
    """See that support and query consist of the same parts, of the same types and shapes."""
    ours, theirs = (dict(_named("", x)) for x in (support, query))
    if ours.keys() != theirs.keys():
        told, other_told = (", ".join(sorted(x)) or "a tensor" for x in (ours, theirs))
        raise InputError(
            f"the support {kind}s have {told} and the query {kind}s {other_told}; expected the "
            "same parts"
        )
    for part, one in sorted(ours.items()):
        other = theirs[part]
        # Beside others a tensor may have a column an example, as an adjacency matrix has.
        single = isinstance(support, Tensor)
        if one.shape[2:] != other.shape[2:] if single else one.dim() != other.dim():
            raise InputError(
                f"one support {kind}{part} is {list(one.shape[2:])} and one query {kind}{part} "
                f"{list(other.shape[2:])}; expected the same shape"
            )
        if one.dtype != other.dtype:
            letter = "x" if kind == "example" else "y"
            raise InputError(
                f"support_{letter}{part} is {one.dtype} and query_{letter}{part} {other.dtype}; "
                "expected the same type"
            )


def _shapes(value: Inputs) -> str:
    named = _named("", value)
    if isinstance(value, Tensor):
        return str(list(value.shape))
    return "{" + ", ".join(f"{name.strip('[]')}: {list(t.shape)}" for name, t in named) + "}"
