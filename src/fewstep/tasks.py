"""TaskBatch: the one type that flows through everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fewstep.errors import InputError


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """The tasks of one outer step. The first dimension of every tensor is the task.

    Attributes:
        support_x: ``[tasks, support examples, ...]``, the inputs to adapt on.
        support_y: ``[tasks, support examples, ...]``, their targets.
        query_x: ``[tasks, query examples, ...]``, the inputs to be judged on.
        query_y: ``[tasks, query examples, ...]``, their targets.
        classes: ``int64 [tasks, ways]`` or None: which class of the data set each label stands
            for in each task. Adaptation never sees it.

    Raises:
        InputError: The shapes do not fit one another.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    classes: Tensor | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check_tensor(field.name)
        for part in ("support", "query"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            if x.shape[:2] != y.shape[:2]:
                raise InputError(
                    f"{part}_x is {list(x.shape)} and {part}_y {list(y.shape)}; expected the same "
                    "[tasks, examples] in front"
                )
        for part, example in (("x", "example"), ("y", "target")):
            support, query = getattr(self, f"support_{part}"), getattr(self, f"query_{part}")
            if support.shape[2:] != query.shape[2:]:
                raise InputError(
                    f"one support {example} is {list(support.shape[2:])} and one query {example} "
                    f"{list(query.shape[2:])}; expected the same shape"
                )
            if support.dtype != query.dtype:
                raise InputError(
                    f"support_{part} is {support.dtype} and query_{part} {query.dtype}; expected "
                    "the same type"
                )

    def _check_tensor(self, name: str) -> None:
        value = getattr(self, name)
        if value is None and name == "classes":
            return
        if not isinstance(value, Tensor):
            raise InputError(f"{name} is a {type(value).__name__}; expected a torch.Tensor")
        shape = value.shape
        if len(shape) < 2 or 0 in shape:
            raise InputError(
                f"{name} is {list(shape)}; expected [tasks, examples, ...] with at least one "
                "of each"
            )
        if shape[0] != self.support_x.shape[0]:
            raise InputError(
                f"{name} has {shape[0]} tasks and support_x {len(self.support_x)}; expected the "
                "same number"
            )

    def __len__(self) -> int:
        return len(self.support_x)

    def __getitem__(self, tasks: slice) -> TaskBatch:
        return self._map(lambda tensor: tensor[tasks])

    def to(self, device: torch.device | str) -> TaskBatch:
        """The same tasks on another device."""
        if self.support_x.device == torch.device(device):
            return self
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> TaskBatch:
        """The same tasks in memory that a GPU can copy from by itself."""
        return self._map(lambda tensor: tensor.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> TaskBatch:
        values = (getattr(self, field.name) for field in fields(self))
        return TaskBatch(*(None if v is None else change(v) for v in values))  # type: ignore[arg-type]
