"""Rows of a table as examples of a network."""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.rows_of import frame_of
from fewstep.errors import InputError

_MOST = 4096  # rows of a batch


@dataclass(frozen=True, eq=False)
class Prepared:
    """Examples that are what the network takes, ``x [examples, ...]``, and no columns."""

    x: Tensor


@dataclass(frozen=True)
class TableForm:
    """The form of a network's examples that are rows of a table.

    Attributes:
        preparation: How a row becomes an example.
        dtype: Of the network.
    """

    preparation: TablePreparation
    dtype: torch.dtype = torch.float32

    def tensor(self, x: Any) -> Tensor:
        """All examples, ``[examples, ...]``.

        Raises:
            InputError: They are none, a column is missing, or a value is of another kind.
        """
        if isinstance(x, Prepared):
            return x.x
        frame = frame_of(x, self.preparation)
        if len(frame) == 0:
            raise InputError("there are no rows; expected at least one")
        for text in self.preparation.warnings(frame):
            warnings.warn(text, stacklevel=of_the_user())
        return torch.from_numpy(self.preparation.examples(frame)).to(self.dtype)

    def batches(self, x: Any) -> Iterator[Tensor]:
        """The same in parts of bounded size, in order."""
        every = self.tensor(x)
        yield from (every[start : start + _MOST] for start in range(0, len(every), _MOST))


def of_the_user() -> int:
    """The stack level of the code outside of the package, which a warning is of."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("fewstep."):
        level, frame = level + 1, frame.f_back
    return level
