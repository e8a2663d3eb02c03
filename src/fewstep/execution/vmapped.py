"""Several tasks at once, by vectorising what is computed for one."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from torch import Tensor
from torch.func import vmap

from fewstep.errors import InputError, UnsuitableError, first_line, let_out_of_memory_through
from fewstep.execution.executor import Executor, Piece
from fewstep.functional.guards import layer_at_fault
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn, as_leaf_tensors
from fewstep.metagrad.objective import Objective, QueryResult
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch


class Vmapped(Executor):
    """Computes a meta-batch by chunks of about ``chunk`` tasks."""

    def __init__(self, objective: Objective, chunk: int) -> None:
        super().__init__(objective)
        self.chunk = chunk

    def pieces(self, tasks: TaskBatch) -> Iterator[Piece]:
        """A piece for each chunk.

        They are of almost the same size, so that none is too small to be worth it; up to half
        larger than was asked for, since fewer are faster.
        """
        learned = self._learned()
        number = max(1, round(len(tasks) / self.chunk))
        bounds = [len(tasks) * chunk // number for chunk in range(number + 1)]
        for first, end in pairwise(bounds):
            yield stacked(self.objective, tasks[first:end], learned)


def stacked(objective: Objective, tasks: TaskBatch, learned: Params) -> Piece:
    """All tasks, each with its own copy of ``learned``: every tensor has the task in front.

    The tasks do not touch one another, so the gradient of the sum of their losses with respect to
    the stacked parameters holds the gradient of each.
    """
    losses = vmap(objective.support_loss)
    query_outputs = vmap(objective.evaluate_query)

    def step_loss(params: Params, _: int) -> Tensor:
        with _naming_the_way_out():
            return losses(params, tasks.support_x, tasks.support_y).sum()

    def evaluate_query(params: Params) -> QueryResult:
        with _naming_the_way_out():
            loss, needed, statistics = query_outputs(
                params, tasks.support_x, tasks.query_x, tasks.query_y
            )
        metrics = objective.metrics.of(needed, tasks.query_y, loss)
        return QueryResult(loss, metrics, statistics[0] if statistics else None)

    copies = {name: value.expand(len(tasks), *value.shape) for name, value in learned.items()}
    return Piece(GradFn(step_loss, batched=True), evaluate_query, copies)


def can_vectorise(objective: Objective, tasks: TaskBatch) -> bool:
    """Whether the model and the loss can be computed for several tasks at once, fast."""
    grad_fn, evaluate_query, start = stacked(objective, tasks[:2], objective.start)
    try:
        with preserve_rng_state(), warnings.catch_warnings():
            # PyTorch warns where vmap falls back to a loop of its own.
            warnings.simplefilter("error")
            grad_fn(as_leaf_tensors(start), 0, False)
            evaluate_query(start)
    except (InputError, Warning):
        return False
    return True


@contextmanager
def _naming_the_way_out() -> Iterator[None]:
    """Name the layer that cannot be vectorised, and what to do."""
    try:
        yield
    except RuntimeError as error:
        let_out_of_memory_through(error)
        raise UnsuitableError(
            f"{layer_at_fault(error)} cannot be vectorised over tasks ({first_line(error)}); "
            'use execution="loop"'
        ) from error
