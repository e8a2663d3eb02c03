"""A learner whose tasks are shared out among processes."""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fewstep.choices import Norm
from fewstep.distributed.workers import Workers, check_number
from fewstep.errors import InputError
from fewstep.execution.executor import MetaGradient, weighted_mean
from fewstep.learners.base import Evaluation, Learner
from fewstep.learners.checks import check_tasks
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.objective import QueryResult
from fewstep.runtime.modes import CallerModes, computing_in, current_modes, exclusive
from fewstep.runtime.rng import numbered_from, seeded_calls
from fewstep.tasks import Inputs, TaskBatch


class Parallel(Learner):
    """Computes what a learner computes, with the tasks shared out among processes of one thread.

    On a CPU this is the fastest way for networks such as Conv-4; each process takes the memory of
    a learner of its own. They are started by the first call that has tasks for them, and end with
    this object. They know what the program had defined and imported by then; after a function or a
    class was defined anew, as in a notebook, make a new `Parallel`. Threads that call it at once
    wait for each other.

    Args:
        learner: Its model and loss have to be picklable: defined at the top of a module.
        workers: How many processes at most, with this one.

    Raises:
        InputError: ``workers`` is not at least 1, or more than eight for each core.

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> learner = fewstep.Parallel(fewstep.MAML(torch.nn.Linear(4, 3)), workers=2)
    >>> learner(fewstep.TaskBatch(x, y, x, y)).backward()
    """

    _PREFIXES: ClassVar[dict[str, str]] = {"learner": ""}

    def __init__(self, learner: Learner, workers: int) -> None:
        super().__init__()
        check_number(workers)
        if not isinstance(learner, Learner):
            raise InputError(
                f"learner is a {type(learner).__name__}; expected one as in fewstep.MAML(model)"
            )
        self.learner = learner
        self.workers = workers
        self._processes = Workers()

    def __getstate__(self) -> dict[str, Any]:
        # A copy, of whatever kind, has processes of its own.
        return {**vars(self), "_processes": Workers()}

    def meta_parameters(self) -> dict[str, nn.Parameter]:
        return self.learner.meta_parameters()

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """The learner's, computed by all processes where each task has a gradient of its own.

        Raises:
            InputError: The tasks do not fit, are not on the CPU, or a process ended.
        """
        if not self.learner.tasks_are_independent:
            return self.learner.differentiate(tasks, outer_step)
        parts: list[MetaGradient] = self._each("differentiate", tasks, outer_step)
        query = QueryResult(
            torch.cat([part.query.losses for part in parts]),
            _cat([part.query.metrics for part in parts]),
        )
        shares = [len(part.query.losses) / len(tasks) for part in parts]
        gradient = weighted_mean([part.gradient for part in parts], shares)
        statistics = [part.statistics for part in parts if part.statistics is not None]
        return MetaGradient(
            query, gradient, weighted_mean(statistics, shares) if statistics else None
        )

    def query_losses(self, tasks: TaskBatch, outer_step: int = 0) -> Tensor:
        if not self.learner.tasks_are_independent:
            return self.learner.query_losses(tasks, outer_step)
        return torch.cat(self._each("query_losses", tasks, outer_step))

    def evaluate(
        self, tasks: TaskBatch, steps: int | None = None, norm: Norm | None = None
    ) -> Evaluation:
        return Evaluation.cat(self._each("evaluate", tasks, steps, norm))

    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        return self.learner.adapt(x, y, steps, norm)

    def with_metrics(self, metrics: Mapping[str, Metric]) -> "Parallel":
        return self._sharing(self.learner.with_metrics(metrics))

    def variants(self) -> dict[str, Learner]:
        return {name: self._sharing(one) for name, one in self.learner.variants().items()}

    def _sharing(self, learner: Learner) -> "Parallel":
        """Another learner, computed by the same processes."""
        other = Parallel(learner, self.workers)
        other._processes = self._processes
        return other

    @property
    def inner_steps(self) -> int:  # type: ignore[override]
        return self.learner.inner_steps

    def _each(self, method: str, tasks: TaskBatch, *arguments: Any) -> list[Any]:
        """The results of a method of the learner, one for each share of the tasks."""
        check_tasks(tasks)
        device = tasks.device
        if device.type != "cpu":
            raise InputError(
                f"the tasks are on {device}; workers are for the CPU, use the learner itself or "
                "--workers 1"
            )
        number = min(self.workers, len(tasks))
        bounds = pairwise(len(tasks) * part // number for part in range(number + 1))
        modes = current_modes()
        with exclusive(), seeded_calls(device) as seed:
            share = partial(_share, method, self.learner, modes, seed, arguments)
            return self._processes.run([(share, tasks[first:end], first) for first, end in bounds])


def _share(
    method: str,
    learner: Learner,
    modes: CallerModes,
    seed: int,
    arguments: tuple[Any, ...],
    tasks: TaskBatch,
    first: int,
) -> Any:
    with computing_in(modes), numbered_from(seed, first):
        return getattr(learner, method)(tasks, *arguments)


def _cat(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tasks of all parts, by metric."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
