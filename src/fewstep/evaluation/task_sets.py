"""Sets of tasks in all the forms that a user may have them in, as batches."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from torch import Tensor, nn

from fewstep.data.source import Sampler
from fewstep.errors import InputError
from fewstep.tasks import TaskBatch

EVALUATED = 20
"""Tasks that are evaluated by one call."""
OF_A_SOURCE = 600
"""Tasks of a source that `evaluate` takes unless told otherwise."""
TaskSet = Sampler | TaskBatch | Callable[[int], TaskBatch] | Iterable[Any]
"""Tasks of a source, of one batch, of a function that makes batch 0, 1, ..., or of an iterable of
batches or tasks."""


def task_batches(tasks: TaskSet, n: int | None, at_once: int = EVALUATED) -> Iterator[TaskBatch]:
    """The first ``n`` tasks, in batches of ``at_once`` at most."""
    parts = task_parts(tasks, n, at_once, lambda numbers: numbers)
    return (batch for _, _, batch in parts if batch is not None)


def task_parts(
    tasks: TaskSet, n: int | None, at_once: int, share: Callable[[range], range]
) -> Iterator[tuple[range, range, TaskBatch | None]]:
    """Of each batch the numbers of its tasks, those of a share of them, and the share if any."""
    if hasattr(tasks, "batch"):
        end = OF_A_SOURCE if n is None else n
        for start in range(0, end, at_once):
            numbers = range(start, min(start + at_once, end))
            own = share(numbers)
            yield numbers, own, tasks.batch(own) if own else None
        return
    if callable(tasks) and not isinstance(tasks, nn.Module):
        check_takes_number("tasks", tasks)
        n, tasks = OF_A_SOURCE if n is None else n, map(tasks, count())
    left = math.inf if n is None else n
    for whole in [tasks] if isinstance(tasks, TaskBatch) else iterate(tasks):
        batch = whole[: int(min(left, len(whole)))]
        for start in range(0, len(batch), at_once):
            numbers = range(start, min(start + at_once, len(batch)))
            own = share(numbers)
            yield numbers, own, batch[own.start : own.stop] if own else None
        left -= len(batch)
        if left <= 0:
            return


def check_takes_number(name: str, function: Callable[..., object]) -> None:
    """See that a function that makes tasks can be called with a number alone."""
    try:
        inspect.signature(function).bind(0)
    except TypeError as error:
        raise InputError(
            f"{name} is a function that cannot be called with a number alone ({error}); expected "
            "one of the number of the batch, as in def tasks(number): ..."
        ) from error
    except ValueError:
        return  # it tells no signature


def iterate(tasks: Any) -> Iterator[TaskBatch]:
    """Batches of an iterable; a single task, ``(x, y, x, y)``, becomes a batch of one.

    The four tensors of a DataLoader that collates are those of a batch.
    """
    if not isinstance(tasks, Iterable) or isinstance(tasks, Tensor | nn.Module | str):
        raise InputError(
            f"the tasks are of type {type(tasks).__name__}; expected a TaskBatch, a source with "
            "batch(indices), a function that makes batch 0, 1, ..., or an iterable of batches or "
            "of (support_x, support_y, query_x, query_y)"
        )
    collates = getattr(tasks, "batch_sampler", None) is not None
    return (_as_batch(item, collates) for item in tasks)


def _as_batch(item: Any, collates: bool) -> TaskBatch:
    if isinstance(item, TaskBatch):
        return item
    parts = tuple(map(_inputs, item)) if isinstance(item, list | tuple) else item
    return TaskBatch(*parts) if collates and len(parts) == 4 else TaskBatch.stack([parts])


def drawn(tasks: TaskSet, n: int) -> TaskSet:
    """Tasks that can be gone through again: those of an iterable as a list of batches."""
    if isinstance(tasks, TaskBatch) or hasattr(tasks, "batch"):
        return tasks
    return list(task_batches(tasks, n))


def _inputs(value: Any) -> Any:
    """Tuples where a DataLoader has made lists."""
    if isinstance(value, list | tuple):
        return tuple(map(_inputs, value))
    return {k: _inputs(v) for k, v in value.items()} if isinstance(value, dict) else value
