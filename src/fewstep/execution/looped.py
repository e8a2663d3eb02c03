"""One task after another."""

from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor

from fewstep.execution.executor import Executor, Piece
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn
from fewstep.metagrad.objective import QueryOutput, QueryResult
from fewstep.runtime.rng import reseed, seed_of, seeded_calls
from fewstep.tasks import Inputs, TaskBatch

SeedAt = Callable[[int | None], int]
"""Of an inner step, or of the query set where there is none."""


class Looped(Executor):
    """Computes a meta-batch one task after another.

    The random numbers of a task depend on the seed, its number and the inner step alone.
    """

    def pieces(self, tasks: TaskBatch) -> Iterator[Piece]:
        """A piece for each task."""
        learned = self._learned()
        with seeded_calls() as seed:
            for number in range(len(tasks)):
                support_x, support_y, query_x, query_y = tasks.task(number)
                seed_at = partial(seed_of, seed, number)
                yield Piece(
                    self._grad_fn(support_x, support_y, seed_at),
                    partial(self._evaluate_query, support_x, query_x, query_y, seed_at),
                    learned,
                )

    def _grad_fn(self, x: Inputs, y: Tensor, seed_at: SeedAt) -> GradFn:
        def step_loss(params: Params, step: int) -> Tensor:
            reseed(seed_at(step))
            return self.objective.support_loss(params, x, y)

        return GradFn(step_loss)

    def _evaluate_query(
        self, support_x: Inputs, x: Inputs, y: Tensor, seed_at: SeedAt, params: Params
    ) -> QueryResult:
        reseed(seed_at(None))
        loss, needed, statistics = self._query_output(params, support_x, x, y)
        metrics = self.objective.metrics.of([t[None] for t in needed], y[None], loss[None])
        return QueryResult(loss[None], metrics, statistics[0][None] if statistics else None)

    def _query_output(self, params: Params, support_x: Inputs, x: Inputs, y: Tensor) -> QueryOutput:
        return self.objective.evaluate_query(params, support_x, x, y)
