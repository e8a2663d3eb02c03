"""Tasks of a table, drawn once for all that are compared: the same rows for learners and rivals."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from torch import Tensor

from fewstep.data.tables.tasks import TableTasks
from fewstep.evaluation.rivals.rows import Array, Episode, Floats, Rows
from fewstep.tasks import TaskBatch

AT_ONCE = 100
"""Tasks of a batch: many small ones at once take half the time."""
MOST_NUMBERS = 50_000_000
"""Numbers of training rows that rivals are fitted to; of a larger table to whole tasks by lot."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Unseen tasks with so many support rows.

    Attributes:
        rows: Support rows of each.
        batches: The tasks, as learners take them.
        names: Of the tasks; one that is drawn several times, with other rows, comes as often.
    """

    rows: int
    batches: Sequence[TaskBatch]
    names: Sequence[str]

    @cached_property
    def episodes(self) -> list[Episode]:
        """The same tasks as arrays."""
        tasks = [batch.task(number) for batch in self.batches for number in range(len(batch))]
        found = []
        for (x, y, query_x, query_y), name in zip(tasks, self.names, strict=True):
            assert isinstance(x, Tensor)
            assert isinstance(query_x, Tensor)
            found.append(Episode(_flat(x), _targets(y), _flat(query_x), _targets(query_y), name))
        return found


def draw(source: TableTasks, rows: int, number: int) -> Drawn | None:
    """The first tasks of a source with so many support rows; None where no task has enough."""
    if not (source.rows.counts > rows).any():
        return None
    changed = source.with_shots(rows, source.q_query)
    ends = [*range(0, number, AT_ONCE), number]
    batches = [changed.batch(range(*pair)) for pair in pairwise(ends)]
    return Drawn(rows, batches, changed.names_of(range(number)))


def training_rows(source: TableTasks) -> tuple[Rows, int]:
    """All rows of the training tasks, and how many of their features, the first, are numbers.

    The last row of a window comes first, so that only its numbers count.
    """
    table, random = source.rows, np.random.default_rng(source.seed)
    width = int(np.prod(table.example_shape))
    order = random.permutation(len(table))
    sizes = table.counts[order].cumsum()
    # In their own order, which a table of ordinary size has anyway.
    kept = np.sort(order[: max(1, int(np.searchsorted(sizes, MOST_NUMBERS / width, "right")))])
    counts = table.counts[kept]
    task = np.repeat(np.arange(len(kept)), counts)
    # Rows that follow one another are one batch of single examples.
    places = np.concatenate([np.arange(count) for count in counts])
    x, y = table.examples(kept[task], places[:, None])
    categories = sum(source.spec.categories)
    numeric = table.example_shape[-1] - categories
    return Rows(_flat(x[:, 0]), _targets(y[:, 0]), task), numeric


def _flat(x: Tensor) -> Floats:
    """``[rows, features]``; of a window the last row first."""
    if x.dim() > 2:
        x = x.flip(1).flatten(1)
    found: Floats = x.double().numpy()
    return found


def _targets(y: Tensor) -> Array:
    """``[rows]``, numbers or classes."""
    if y.is_floating_point():
        y = y.double()
    found: Array = y.flatten().numpy()
    return found
