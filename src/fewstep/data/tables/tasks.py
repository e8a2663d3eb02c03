"""TableTasks: the tasks of a table, each with some rows to adapt on and some to be judged on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Self

import numpy as np
import torch
from torch import Tensor

from fewstep.choices import Split
from fewstep.data.columns.naming import listed
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.draws import generator
from fewstep.data.source import TaskSource, TaskSpec
from fewstep.data.tables.rows import Integers, TableRows
from fewstep.errors import InputError
from fewstep.tasks import TaskBatch


@dataclass(frozen=True)
class RootMeanSquare:
    """The root mean squared error of a task, in the unit of the target.

    Attributes:
        scale: Units of the target in one of the standardised target.
    """

    scale: float

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The error of ``[examples, 1]`` predictions."""
        return self.scale * (prediction - target).square().mean().sqrt()


def spec_of(how: TablePreparation, example_shape: Sequence[int]) -> TaskSpec:
    """The form of tasks whose rows are prepared in this way."""
    if how.kind == "classification":
        spec = TaskSpec.classification(example_shape, len(how.classes or ()))
    else:
        error = RootMeanSquare(float(how.target_scale))
        spec = replace(TaskSpec.regression(example_shape), metrics={"rmse": error})
    return replace(spec, categories=tuple(how.categories))


@dataclass(frozen=True, eq=False, repr=False)
class TableTasks(TaskSource):
    """Draws rows of tasks; task number i is always the same one, with the same rows.

    Every task comes once before any comes again, in an order that the seed draws anew each time. A
    task has ``k_shot`` support rows and up to ``q_query`` other rows, drawn at random. Where rows
    are in order of time, the support rows follow one another from a row drawn at random, as in a
    calibration, and the query rows are later ones.

    Attributes:
        rows: Of all tasks of the split.
        how: How they were prepared.
        min_k_shot: Tasks have this many to ``k_shot`` support rows, all numbers alike; None for
            always ``k_shot``.

    Raises:
        InputError: No task has enough rows.

    >>> import pandas as pd
    >>> from fewstep.data import Table
    >>> frame = pd.DataFrame({"school": list("aaabbb"), "hours": range(6), "score": list("xyxyyx")})
    >>> tasks = Table(frame, task="school", target="score").tasks(k_shot=2, q_query=1)
    >>> tasks.batch(range(4))
    TaskBatch(4 tasks, support_x=[4, 2, 1], support_y=[4, 2], query_x=[4, 1, 1], query_y=[4, 1])
    >>> sorted(tasks.names_of(range(4)))
    ['a', 'a', 'b', 'b']
    """

    rows: TableRows
    how: TablePreparation
    k_shot: int
    q_query: int
    seed: int = 0
    split: Split = "train"
    min_k_shot: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.fewest <= self.k_shot:
            raise InputError(
                f"min_k_shot is {self.min_k_shot}; expected 1 to k_shot, which is {self.k_shot}"
            )
        if not len(self._drawn):
            most = int(self.rows.counts.max(initial=0))
            raise InputError(
                f"no {self.split} task has {self.fewest + 1} rows: {self.fewest} to adapt on and "
                f"one to be judged on; the largest has {most}: choose a smaller k_shot"
            )

    def __repr__(self) -> str:
        shots = str(self.k_shot) if self.min_k_shot is None else f"{self.fewest} to {self.k_shot}"
        many, queries = len(self._drawn), f"{self.q_query} query row"
        told = f"{many:,} {self.split} {'task' if many == 1 else 'tasks'} of {shots} support"
        told += f" and up to {queries}{'' if self.q_query == 1 else 's'}"
        out = self.left_out
        if out:
            told += f"; left out: {len(out):,} of fewer than {self.fewest + 1} rows: "
            told += listed(out, 3)
        return f"<{told}>"

    @property
    def fewest(self) -> int:
        """The fewest support rows of a task."""
        return self.k_shot if self.min_k_shot is None else self.min_k_shot

    @property
    def spec(self) -> TaskSpec:
        """Rows of features, and a number or a class to predict."""
        return spec_of(self.how, self.rows.example_shape)

    @property
    def preparation(self) -> TablePreparation:
        """That of the rows."""
        return self.how

    @property
    def names(self) -> list[str]:
        """The tasks that are drawn."""
        return [self.rows.names[number] for number in self._drawn]

    @property
    def left_out(self) -> list[str]:
        """The tasks that have too few rows."""
        return [self.rows.names[n] for n in np.flatnonzero(self.rows.counts <= self.fewest)]

    def names_of(self, indices: Sequence[int]) -> list[str]:
        """The name of each task: that of one which is drawn twice comes twice."""
        return [self.rows.names[number] for number in self._numbers(indices)]

    def with_shots(self, k_shot: int, q_query: int) -> Self:
        """The same source with other numbers of support and query rows."""
        return replace(self, k_shot=k_shot, q_query=q_query, min_k_shot=None)

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers.

        Returns:
            Rows as ``float32 [tasks, rows, features]``, numbers as ``float32 [tasks, rows, 1]``
            and classes as ``int64 [tasks, rows]``; smaller tasks are padded, as
            `TaskBatch.stack` does.
        """
        tasks = self._numbers(indices)
        drawn = [self._draw(i, t) for i, t in zip(indices, tasks.tolist(), strict=True)]
        (support, shots), (query, queries) = map(_padded, zip(*drawn, strict=True))
        support_x, support_y = self.rows.examples(tasks, support)
        query_x, query_y = self.rows.examples(tasks, query)
        return TaskBatch(
            support_x,
            support_y,
            query_x,
            query_y,
            support_sizes=_unless_even(shots),
            query_sizes=_unless_even(queries),
        )

    def content(self) -> Iterator[bytes | memoryview]:
        """The split, the tasks and their rows."""
        yield f"{self.split} {self.rows.names} ".encode()
        yield from (of.tobytes() for of in (self.rows.offsets, self.rows.x, self.rows.y))

    @cached_property
    def _drawn(self) -> Integers:
        """The numbers of the tasks with enough rows."""
        return np.flatnonzero(self.rows.counts > self.fewest)

    def _numbers(self, indices: Sequence[int]) -> Integers:
        """``[tasks]``, the numbers of tasks, of which each comes once in a round."""
        many = len(self._drawn)
        found = [_round(self.seed, self.split, i // many, many)[i % many] for i in indices]
        return self._drawn[np.array(found, np.int64)]

    def _draw(self, index: int, task: int) -> tuple[Integers, Integers]:
        """The numbers of the support and of the query rows of one task."""
        random = generator(self.seed, self.split, index)
        have = int(self.rows.counts[task])
        most = min(self.k_shot, have - 1)
        shots = most if self.min_k_shot is None else int(random.integers(self.fewest, most + 1))
        if self.rows.in_time:
            first = int(random.integers(have - shots))
            later = np.arange(first + shots, have)
            query = random.choice(later, min(self.q_query, len(later)), replace=False)
            return np.arange(first, first + shots), np.sort(query)
        wanted = min(shots + self.q_query, have)
        chosen = random.choice(have, wanted, replace=False)
        return chosen[:shots], chosen[shots:]


@lru_cache(maxsize=16)
def _round(seed: int, split: Split, number: int, tasks: int) -> Integers:
    """The order of the tasks in one round."""
    return generator(seed, f"{split} round", number).permutation(tasks)


def _padded(numbers: Sequence[Integers]) -> tuple[Integers, Tensor]:
    """``[tasks, examples]``, shorter ones filled up with their first, and their lengths."""
    lengths = np.array([len(of) for of in numbers], np.int64)
    longest = int(lengths.max())
    filled = [np.concatenate([of, np.repeat(of[:1], longest - len(of))]) for of in numbers]
    return np.stack(filled), torch.from_numpy(lengths)


def _unless_even(sizes: Tensor) -> Tensor | None:
    return None if bool((sizes == sizes[0]).all()) else sizes
