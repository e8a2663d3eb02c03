"""Tensors of one task, ``[examples, ...]``, and of many, ``[tasks, examples, ...]``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_batchedtensor

_sums_suffice: ContextVar[bool] = ContextVar("whether sums over the tasks suffice", default=False)


def under_vmap(*tensors: Tensor | None) -> bool:
    """Whether one of the tensors hides a dimension of tasks."""
    return any(tensor is not None and is_batchedtensor(tensor) for tensor in tensors)


def has_gradient(tensor: Tensor) -> bool:
    """Whether a gradient with respect to a tensor may be wanted; vmap hides that."""
    while is_batchedtensor(tensor):
        tensor = get_unwrapped(tensor)
    return tensor.requires_grad


@contextmanager
def sums_suffice() -> Iterator[None]:
    """Ask, inside, for the sum of a gradient over the tasks only, where they share the tensor.

    The gradients of the tasks may then be given as their mean, for each the same. Other threads
    keep to those of each task, and so does a GPU, whose way back autograd takes in a thread of its
    own.
    """
    token = _sums_suffice.set(True)
    try:
        yield
    finally:
        _sums_suffice.reset(token)


def is_shared(value: Tensor) -> bool:
    """Whether all tasks have the same value because it is the same memory."""
    return value.stride(0) == 0


def can_be_summed(value: Tensor) -> bool:
    """Whether the gradient of each task with respect to ``value`` may be the mean of all."""
    return _sums_suffice.get() and is_shared(value)


def with_task_dim(function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """Call a function of tensors, which under vmap have the tasks in front.

    What it does is recorded by the ordinary autograd beneath vmap, so it can be differentiated as
    often as any.
    """
    return _AllTasks.apply(function, *tensors) if under_vmap(*tensors) else function(*tensors)


class _AllTasks(torch.autograd.Function):
    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        function: Callable[..., Tensor],
        *tensors: Tensor | None,
    ) -> tuple[Tensor, int]:
        stacked = [
            None if tensor is None else _tasks_in_front(tensor, dim, info.batch_size)
            for tensor, dim in zip(tensors, in_dims[1:], strict=True)
        ]
        return function(*stacked), 0


def loop_over_tasks(function: Callable[..., Any], *tensors: Tensor | None, **settings: Any) -> Any:
    """Call a function once a task, and stack each of its results."""
    tasks = next(len(tensor) for tensor in tensors if tensor is not None)
    columns = ([None] * tasks if tensor is None else tensor for tensor in tensors)
    results = [function(*task, **settings) for task in zip(*columns, strict=True)]
    if isinstance(results[0], Tensor):
        return _stack(results)
    return tuple(map(_stack, zip(*results, strict=True)))


def fold_tasks_into_batch(function: Callable[..., Any], *tensors: Tensor, **settings: Any) -> Any:
    """Call a function that treats each example for itself, once, with those of all tasks."""
    tasks = len(tensors[0])
    results = function(*(tensor.flatten(0, 1) for tensor in tensors), **settings)
    if isinstance(results, Tensor):
        return results.view(tasks, -1, *results.shape[1:])
    return tuple(result.view(tasks, -1, *result.shape[1:]) for result in results)


def _stack(results: Sequence[Tensor | None]) -> Tensor | None:
    present = [result for result in results if result is not None]
    if not present:
        return None
    if present[0].dim() != 4:
        return torch.stack(present)
    # Unlike stack, cat keeps pictures in channels-last layout.
    return torch.cat(present).view(len(present), *present[0].shape)


def _tasks_in_front(tensor: Tensor, dim: int | None, tasks: int) -> Tensor:
    if dim is None:
        return tensor.expand(tasks, *tensor.shape)
    return tensor.movedim(dim, 0)
