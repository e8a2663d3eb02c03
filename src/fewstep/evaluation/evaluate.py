"""Evaluation on many tasks: mean and 95% interval after each number of inner steps."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from fewstep.choices import Norm
from fewstep.data.source import made_on
from fewstep.distributed.forked import check_number
from fewstep.distributed.ranks import joined, ranks
from fewstep.errors import InputError
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.gathered import gathered
from fewstep.evaluation.numbers import ROOTS, shown, student
from fewstep.evaluation.task_sets import EVALUATED, TaskSet, task_parts
from fewstep.evaluation.unit import in_unit_of
from fewstep.functional.swapped import Params
from fewstep.learners.base import Evaluation, Learner
from fewstep.learners.is_learner import check_learner
from fewstep.runtime.rng import numbered_call, preserve_rng_state
from fewstep.whole_numbers import check_whole


class Means(NamedTuple):
    """One figure after 0, 1, ... inner steps."""

    mean: list[float]  # over tasks
    ci95: list[float]  # half the 95% interval of each mean, by Student's t

    def shown(self, metric: str, step: int) -> str:
        """The figure of a metric after some inner steps, with its interval, as text."""
        return shown(metric, self.mean[step], self.ci95[step])


@dataclass(frozen=True, repr=False)
class Result:
    """Means over tasks, with their protocol."""

    metrics: dict[str, Means]  # by name; there is one at least
    loss: Means  # the query loss
    tasks: int
    diverged: tuple[int, int] | None  # first task with a loss not finite, after which inner step
    norm: Norm | None = None  # of batch norm on the query sets, where it is known
    batch_norm: bool = True  # whether the network has any, as far as its layers tell
    calibration: Calibration | None = None  # of the last predictions, where it was asked for
    draws: int | None = None  # of rows of the tasks, each of which comes several times

    @property
    def score(self) -> Means:
        """The first metric."""
        return next(iter(self.metrics.values()))

    @property
    def columns(self) -> dict[str, Means]:
        """The metrics and the loss, by name."""
        return {**self.metrics, "loss": self.loss}

    @property
    def for_people(self) -> dict[str, Means]:
        """The metrics, and the loss where none of them is the same or, in a unit, its root."""
        told = "rmse" in self.metrics or any(
            m.mean == self.loss.mean for m in self.metrics.values()
        )
        return dict(self.metrics) if told else self.columns

    def __repr__(self) -> str:
        rows = [["inner steps", *self.for_people]] + [
            [str(step), *(means.shown(name, step) for name, means in self.for_people.items())]
            for step in range(len(self.loss.mean))
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(map(str.rjust, row, widths)) for row in rows]
        norm = f"; {self.norm} batch norm" if self.norm and self.batch_norm else ""
        return "\n".join([*table, f"mean ± 95% interval over {self.tasks} tasks{norm}"])


Results = dict[Norm, Result]
"""By the statistics that batch norm uses, those of the run's own protocol first."""


def evaluate(
    learner: Learner,
    tasks: TaskSet,
    steps: int | None = None,
    norm: Norm | None = None,
    *,
    n: int | None = None,
    workers: int = 1,
) -> Result:
    """Adapt to each task and evaluate it after 0, 1, ..., steps inner steps. Nothing is learned.

    Args:
        learner: Any learner.
        tasks: A `TaskBatch`; a source, which makes tasks from their numbers by
            ``batch(indices)``; a function that makes batch 0, 1, ...; or an iterable of either
            batches or single tasks, ``(support_x, support_y, query_x, query_y)``.
        steps: Most inner steps; the learner's own number unless given.
        norm: Which statistics batch norm uses on the query sets; the learner's own choice unless
            given.
        n: How many tasks at most: all unless given, and 600 of a source or a function.
        workers: Processes that share the tasks, of one thread each; with more than one, the ranks
            of torchrun where it started this one.

    Returns:
        Mean and 95% interval of each metric and of the loss; it prints as a table. The metrics are
        those of the learner, or of a source that has some, such as an error in the unit of a
        table's target, where the learner was given none and has a loss of PyTorch.

    Raises:
        InputError: The tasks do not fit the learner, or there is none.

    >>> import torch, fewstep
    >>> learner = fewstep.MAML(torch.nn.Linear(3, 2), inner_lr=10.0)
    >>> tasks = fewstep.TaskBatch(
    ...     torch.zeros(4, 5, 3), torch.zeros(4, 5).long(),
    ...     torch.zeros(4, 5, 3), torch.zeros(4, 5).long(),
    ... )
    >>> fewstep.evaluate(learner, tasks, steps=1).metrics["accuracy"].mean[1]
    1.0
    """
    check_learner(learner)
    n = None if n is None else check_whole("n", n, 1)
    steps = int(own(learner, "inner_steps")) if steps is None else steps
    workers = check_number(workers)
    with joined(workers) if workers > 1 else nullcontext(), preserve_rng_state():
        measured = in_unit_of(learner, tasks)
        result = means(evaluate_tasks(measured, tasks, n, steps, norm))
    norms = any(isinstance(part, _BatchNorm) for part in learner.modules())
    return replace(result, norm=norm or own(learner, "norm"), batch_norm=norms)


def evaluate_tasks(
    learner: Learner,
    tasks: TaskSet,
    n: int | None,
    steps: int,
    norm: Norm | None,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Evaluate on the first ``n`` tasks, as `evaluate` takes them, each by itself.

    ``advance`` is told how many tasks were done since its last call. Where the tasks have names, as
    those of a table, the draws of one task count as one task, by their mean.
    """
    device, here, parts = device_of(learner), ranks(), list[Evaluation | None]()
    source = made_on(tasks, device)
    at_once = getattr(source, "at_once", EVALUATED)
    for numbers, own, batch in task_parts(source, n, at_once, here.share):
        # What random layers draw does not depend on which rank computes a task.
        with numbered_call(own.start - numbers.start) if here.size > 1 else nullcontext():
            part = None if batch is None else learner.evaluate(batch.to(device), steps, norm)
        parts.append(part)
        advance(len(numbers))
    if not parts:
        raise InputError("tasks is empty; expected at least one task")
    found, names_of = Evaluation.cat(gathered(here, parts)), getattr(tasks, "names_of", None)
    return by_name(found, names_of(range(len(found.losses)))) if names_of else found


def by_name(evaluation: Evaluation, names: Sequence[str]) -> Evaluation:
    """The means of the tasks of a name, one row a name: what is drawn again is no other task.

    Of a root, such as the rmse, it is the root of the mean of the squares. The predictions stay
    those of all tasks.

    >>> drawn = Evaluation(torch.tensor([[1.0], [2.0], [4.0]]), {})
    >>> by_name(drawn, ["a", "b", "a"]).losses.tolist()
    [[2.5], [2.0]]
    """
    number = {name: i for i, name in enumerate(dict.fromkeys(names))}
    to = torch.tensor([number[name] for name in names])
    times = torch.bincount(to)[:, None]

    def of_names(values: Tensor) -> Tensor:
        values = values.cpu()  # a GPU adds in any order, and the last bit decides what is best
        sums = values.new_zeros(len(number), *values.shape[1:]).index_add(0, to, values)
        return sums / times

    metrics = {
        name: of_names(values.square()).sqrt() if name in ROOTS else of_names(values)
        for name, values in evaluation.metrics.items()
    }
    return evaluation._replace(losses=of_names(evaluation.losses), metrics=metrics)


def own(learner: Any, name: str) -> Any:
    """A setting of a learner; None where there is none."""
    return getattr(learner, name, None)


def device_of(learner: Learner) -> torch.device:
    """The device of a learner's parameters; the CPU where it has none."""
    first = next(iter(learner.named_parameters()), None)
    return torch.device("cpu") if first is None else first[1].device


def means(evaluation: Evaluation) -> Result:
    """The means over tasks, with their intervals."""
    bad = (~evaluation.losses.isfinite()).nonzero().tolist()
    return Result(
        metrics={name: _means(values) for name, values in evaluation.metrics.items()},
        loss=_means(evaluation.losses),
        tasks=len(evaluation.losses),
        diverged=tuple(bad[0]) if bad else None,
    )


def _means(values: Tensor) -> Means:
    return Means(values.mean(0).tolist(), interval(values).tolist())


def interval(scores: Tensor) -> Tensor:
    """Half the 95% interval of the mean over tasks: ``[tasks, ...]`` to ``[...]``."""
    if len(scores) < 2:
        return torch.full(scores.shape[1:], math.nan)
    return student(len(scores) - 1) * scores.std(0) / math.sqrt(len(scores))


@contextmanager
def borrowed(parameters: Mapping[str, Tensor], values: Params) -> Iterator[None]:
    """Let the parameters have other values for a while."""
    own_values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    assign(parameters, values)
    try:
        yield
    finally:
        assign(parameters, own_values)


def assign(parameters: Mapping[str, Tensor], values: Params) -> None:
    """Copy values into parameters, by name."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
