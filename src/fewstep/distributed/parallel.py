"""A learner whose tasks are shared out among processes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from fewstep.distributed.workers import Workers, check_number
from fewstep.errors import InputError
from fewstep.execution.looped import MetaGradient
from fewstep.functional.call import Norm
from fewstep.functional.swapped import Params
from fewstep.learners.base import Evaluation
from fewstep.learners.checks import check_tasks
from fewstep.learners.gradient_based import GradientBased
from fewstep.metagrad.unroll import Judgement
from fewstep.runtime.exclusive import exclusive
from fewstep.runtime.modes import Modes, computing_in, current_modes
from fewstep.runtime.rng import numbered_from, seeded_calls
from fewstep.tasks import Inputs, TaskBatch


class Parallel:
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
    """

    def __init__(self, learner: GradientBased, workers: int) -> None:
        check_number(workers)
        if not isinstance(learner, GradientBased):
            raise InputError(
                f"learner is a {type(learner).__name__}; expected one as in fewstep.MAML(model)"
            )
        self.learner = learner
        self._workers = Workers(workers)

    def __getstate__(self) -> dict[str, Any]:
        # A copy, of whatever kind, has processes of its own.
        return {**vars(self), "_workers": Workers(self._workers.number)}

    @property
    def workers(self) -> int:
        """How many processes at most."""
        return self._workers.number

    def parameters(self) -> Iterator[nn.Parameter]:
        """Those of the learner."""
        return self.learner.parameters()

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of the learner."""
        return self.learner.named_parameters()

    def meta_gradient(self, tasks: TaskBatch, outer_step: int = 0) -> tuple[Tensor, Params]:
        """As `MAML.meta_gradient`."""
        result = self.differentiate(tasks, outer_step)
        return result.judgement.losses.mean(), result.gradient

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """As `MAML.differentiate`.

        Raises:
            InputError: The tasks do not fit, are not on the CPU, or a process ended.
        """
        parts: list[MetaGradient] = self._each("differentiate", tasks, outer_step)
        judgement = Judgement(
            torch.cat([part.judgement.losses for part in parts]),
            _cat([part.judgement.metrics for part in parts]),
        )
        shares = [len(part.judgement.losses) / len(tasks) for part in parts]
        gradient = _mean([part.gradient for part in parts], shares)
        statistics = [part.statistics for part in parts if part.statistics is not None]
        return MetaGradient(judgement, gradient, _mean(statistics, shares) if statistics else None)

    def evaluate(self, tasks: TaskBatch, steps: int, norm: Norm | None = None) -> Evaluation:
        """As `MAML.evaluate`."""
        parts: list[Evaluation] = self._each("evaluate", tasks, steps, norm)
        return Evaluation(
            torch.cat([part.losses for part in parts]), _cat([part.metrics for part in parts])
        )

    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        """As `MAML.adapt`, in this process."""
        return self.learner.adapt(x, y, steps, norm)

    def _each(self, method: str, tasks: TaskBatch, *arguments: Any) -> list[Any]:
        """What a method of the learner returns for each share of the tasks."""
        check_tasks(tasks)
        device = tasks.device
        if device.type != "cpu":
            raise InputError(
                f"the tasks are on {device}; workers are for the CPU, use the learner itself or "
                "--workers 1"
            )
        number = min(self._workers.number, len(tasks))
        bounds = [len(tasks) * part // number for part in range(number + 1)]
        modes = current_modes()
        with exclusive(), self._workers.taken() as run, seeded_calls(device) as seed:
            return run(
                [
                    (
                        _share,
                        (method, self.learner, tasks[first:end], modes, seed, first, *arguments),
                    )
                    for first, end in pairwise(bounds)
                ]
            )


def _share(
    method: str,
    learner: GradientBased,
    tasks: TaskBatch,
    modes: Modes,
    seed: int,
    first: int,
    *arguments: Any,
) -> Any:
    with computing_in(modes), numbered_from(seed, first):
        return getattr(learner, method)(tasks, *arguments)


def _cat(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tasks of all parts, by metric."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _mean(parts: list[Params], shares: list[float]) -> Params:
    """The weighted mean of each tensor."""
    return {
        name: torch.stack([s * part[name] for s, part in zip(shares, parts, strict=True)]).sum(0)
        for name in parts[0]
    }
