"""Tasks of an outer step as one object, which all learners take."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from fewstep.errors import InputError
from fewstep.inputs import Inputs as Inputs
from fewstep.inputs import check_alike, check_as_first, named
from fewstep.inputs import fresh as fresh
from fewstep.inputs import map_tensors as map_tensors
from fewstep.inputs import tensors_of as tensors_of

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
        support_sizes: ``int64 [tasks]`` or None: how many support examples of each task are its
            own, where tasks have different numbers; those behind them are padding. Every loss,
            metric and gradient is that of the tasks without padding (docs/speed.md).
        query_sizes: The same of the query examples. `own_examples` is the mask of both.

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
    support_sizes: Tensor | None = None
    query_sizes: Tensor | None = None

    def __post_init__(self) -> None:
        tasks: int | None = None
        for name in _PARTS:
            tasks = _checked(name, getattr(self, name), tasks)
        if self.classes is not None:
            _checked("classes", self.classes, tasks)
        _check_sizes("support", self.support_sizes, self.support_y)
        _check_sizes("query", self.query_sizes, self.query_y)
        for part in ("support", "query"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            for name, tensor in named(f"{part}_x", x):
                if tensor.shape[:2] != y.shape[:2]:
                    raise InputError(
                        f"{name} is {list(tensor.shape)} and {part}_y {list(y.shape)}; expected "
                        "the same [tasks, examples] in front"
                    )
        check_alike("example", self.support_x, self.query_x)
        check_alike("target", self.support_y, self.query_y)

    @classmethod
    def stack(cls, tasks: Iterable[Sequence[Any]]) -> "TaskBatch":
        """Make a batch of single tasks, ``(support_x, support_y, query_x, query_y)`` each.

        Args:
            tasks: Their tensors are ``[examples, ...]``. Tasks may have different numbers of
                examples: shorter ones are padded, and computed without the padding.

        Raises:
            InputError: There is none, or an example is of another shape than in the first.

        >>> x, y = torch.randn(5, 4), torch.zeros(5).long()
        >>> TaskBatch.stack([(x, y, x, y), (x[:2], y[:2], x, y)]).support_sizes
        tensor([5, 2])
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
            first = dict(named(name, column[0]))
            for number, value in enumerate(column):
                check_as_first(name, number, dict(named(name, value)), first)
            columns.append(map_tensors(_padded, *column))
        sizes = [torch.tensor([len(row[part]) for row in rows]) for part in (1, 3)]
        support, query = (
            None if bool((of == of[0]).all()) else of.to(columns[1].device) for of in sizes
        )
        return replace(cls(*columns), support_sizes=support, query_sizes=query)

    def __repr__(self) -> str:
        parts = zip(_PARTS, self._parts, strict=True)
        shapes = ", ".join(f"{name}={_shapes(part)}" for name, part in parts)
        return f"TaskBatch({len(self)} tasks, {shapes})"

    def __len__(self) -> int:
        return len(tensors_of(self.support_x)[0])

    def __getitem__(self, tasks: slice) -> "TaskBatch":
        if not isinstance(tasks, slice):
            raise InputError(
                f"tasks[{tasks!r}] is no batch; expected a slice, as in tasks[0:1], or "
                f"tasks.task({tasks!r}) for the tensors of one task"
            )
        return self._map(lambda tensor: tensor[tasks])

    def task(self, number: int) -> tuple[Inputs, Tensor, Inputs, Tensor]:
        """Return support_x, support_y, query_x, query_y of one task, ``[examples, ...]`` each."""
        sizes = self.support_sizes, self.support_sizes, self.query_sizes, self.query_sizes
        ends = [None if of is None else int(of[number]) for of in sizes]
        pairs = zip(self._parts, ends, strict=True)
        return tuple(map_tensors(lambda t: t[number, :end], part) for part, end in pairs)  # noqa: B023

    def single(self, number: int) -> "TaskBatch":
        """Return one task as a batch, without padding."""
        return self._without_padding([number])

    @property
    def own_examples(self) -> Tensor:
        """``bool [tasks, support + query examples]``, true where an example is no padding."""
        lengths = zip(
            (self.support_sizes, self.query_sizes), (self.support_y, self.query_y), strict=True
        )
        return torch.cat([_places(sizes, y) for sizes, y in lengths], 1)

    @property
    def is_uneven(self) -> bool:
        """Whether tasks have different numbers of examples, so that some are padded."""
        return self.support_sizes is not None or self.query_sizes is not None

    @property
    def different_sizes(self) -> int:
        """How many pairs of a support size and a query size there are."""
        given = [of.tolist() for of in (self.support_sizes, self.query_sizes) if of is not None]
        return len(set(zip(*given, strict=True))) or 1

    def even_parts(self) -> list[tuple[list[int], "TaskBatch"]]:
        """Return the tasks by their sizes, without padding, and the numbers of those tasks."""
        numbers: dict[tuple[int, ...], list[int]] = {}
        given = [of.tolist() for of in (self.support_sizes, self.query_sizes) if of is not None]
        for number, sizes in enumerate(zip(*given, strict=True)):
            numbers.setdefault(sizes, []).append(number)
        return [(of, self._without_padding(of)) for of in numbers.values()]

    def _without_padding(self, numbers: list[int]) -> "TaskBatch":
        """The tasks of these numbers, which are of the same sizes."""
        columns = zip(*(self.task(number) for number in numbers), strict=True)
        parts = [map_tensors(lambda *tensors: torch.stack(tensors), *column) for column in columns]
        classes = None if self.classes is None else self.classes[numbers]
        return replace(TaskBatch(*parts), classes=classes)

    @property
    def device(self) -> torch.device:
        """Where the tasks are."""
        return self.support_y.device

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors but the classes, in order."""
        return [tensor for part in self._parts for tensor in tensors_of(part)]

    def with_tensors(self, tensors: Iterable[Tensor]) -> "TaskBatch":
        """Return tasks of the same form with other tensors, in the order of `tensors`."""
        others: Iterator[Tensor] = iter(tensors)
        return TaskBatch(*(map_tensors(lambda _: next(others), part) for part in self._parts))

    def to(self, device: torch.device | str) -> "TaskBatch":
        """Return the same tasks on another device."""
        if all(tensor.device == torch.device(device) for tensor in self.tensors):
            return self
        # To the CPU nothing would wait until the values are there.
        ahead = torch.device(device).type == "cuda"
        return self._map(lambda tensor: tensor.to(device, non_blocking=ahead))

    def pin_memory(self) -> "TaskBatch":
        """Return the same tasks in memory that a GPU can copy from by itself."""
        return self._map(lambda tensor: tensor.pin_memory())

    @property
    def _parts(self) -> tuple[Inputs, Tensor, Inputs, Tensor]:
        return self.support_x, self.support_y, self.query_x, self.query_y

    def _map(self, change: Callable[[Tensor], Tensor]) -> "TaskBatch":
        values = (getattr(self, field.name) for field in fields(self))
        changed: list[Any] = [None if v is None else map_tensors(change, v) for v in values]
        return TaskBatch(*changed)


def _checked(name: str, value: Any, tasks: int | None) -> int:
    """The number of tasks of a part, which is that of the parts before it."""
    nested = name.endswith("_x")
    parts = named(name, value) if nested else [(name, value)]
    if not parts:
        raise InputError(f"{name} is empty; expected at least one tensor")
    for of, tensor in parts:
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
    return len(parts[0][1])


def _padded(*tensors: Tensor) -> Tensor:
    """The tensors side by side, shorter ones filled up with copies of their first example."""
    longest = max(map(len, tensors))
    if all(len(tensor) == longest for tensor in tensors):
        return torch.stack(tensors)
    # A copy is as good an example as any: padding passes every check of labels and values.
    return torch.stack(
        [torch.cat([t, t[:1].expand(longest - len(t), *t.shape[1:])]) for t in tensors]
    )


def _places(sizes: Tensor | None, y: Tensor) -> Tensor:
    """``bool [tasks, examples]``, true where an example is a task's own."""
    places = torch.arange(y.shape[1], device=y.device)
    return (places < (y.shape[1] if sizes is None else sizes[:, None])).expand(y.shape[:2])


def _check_sizes(part: str, sizes: Tensor | None, y: Tensor) -> None:
    """See that sizes are those of a padded part."""
    if sizes is None:
        return
    if sizes.shape != y.shape[:1] or sizes.dtype != torch.int64:
        raise InputError(
            f"{part}_sizes is {sizes.dtype} {list(sizes.shape)}; expected int64 [{len(y)}], one "
            "number a task"
        )
    if int(sizes.min()) < 1 or int(sizes.max()) > y.shape[1]:
        raise InputError(
            f"{part}_sizes runs from {int(sizes.min())} to {int(sizes.max())}; expected 1 to "
            f"{y.shape[1]}, the number of {part} examples"
        )


def _shapes(value: Inputs) -> str:
    parts = named("", value)
    if isinstance(value, Tensor):
        return str(list(value.shape))
    return "{" + ", ".join(f"{name.strip('[]')}: {list(t.shape)}" for name, t in parts) + "}"
