"""TableRows: the prepared rows of a table, those of a task side by side."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewstep.data.columns.windows import window_rows

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TableRows:
    """Rows of tasks in memory. An example is a row or, with a window, a row and those before it.

    Attributes:
        names: Of the tasks.
        x: ``float32 [rows, features]``, task by task.
        y: ``float32 [rows, 1]`` or, in a classification, ``int64 [rows]``.
        offsets: ``int64 [tasks + 1]``: task t has the rows from ``offsets[t]`` to
            ``offsets[t + 1]``.
        window: Rows of an example, as `window_rows` takes them; None for a single row.
        in_time: Whether the rows of a task are in order of time.

    >>> rows = np.arange(6, dtype=np.float32)[:, None]
    >>> table = TableRows(("a", "b"), rows, rows, np.array([0, 4, 6]))
    >>> table.counts.tolist()
    [4, 2]
    """

    names: tuple[str, ...]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32] | Integers
    offsets: Integers
    window: int | None = None
    in_time: bool = False

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def counts(self) -> Integers:
        """``int64 [tasks]``: how many examples each has."""
        counts: Integers = np.diff(self.offsets)
        return counts

    @property
    def example_shape(self) -> tuple[int, ...]:
        """``(features,)``, or ``(window, features)``."""
        features = self.x.shape[1]
        return (features,) if self.window is None else (self.window, features)

    def examples(self, tasks: Integers, numbers: Integers) -> tuple[Tensor, Tensor]:
        """Examples of tasks by their numbers within the task.

        Args:
            tasks: ``[tasks]``.
            numbers: ``[tasks, examples]``.

        Returns:
            ``[tasks, examples, ...]``, inputs and targets.
        """
        first = self.offsets[tasks][:, None]
        last = rows = first + numbers
        if self.window is not None:
            rows = window_rows(last, first, self.window)
        return torch.from_numpy(self.x[rows]), torch.from_numpy(self.y[last])
