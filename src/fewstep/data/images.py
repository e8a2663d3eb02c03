"""ImageClasses: labelled pictures, held in memory as bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from fewstep.data.preparation import Preparation
from fewstep.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageClasses:
    """The pictures of a set of classes.

    Attributes:
        pictures: ``uint8 [pictures, channels, height, width]``, the pictures of a class side by
            side, in the order of ``names``.
        names: One name a class.
        counts: ``int64 [classes]``, how many pictures each class has.
        preparation: How they were made of files, and how a new one is treated alike; None where
            nobody knows.

    Raises:
        InputError: The three do not belong together.

    >>> pictures = np.zeros((5, 3, 84, 84), np.uint8)
    >>> len(ImageClasses(pictures, ("owl", "crow"), np.array([2, 3])).subset([1]).pictures)
    3
    """

    pictures: npt.NDArray[np.uint8]
    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        if self.pictures.ndim != 4 or self.pictures.dtype != np.uint8:
            raise InputError(
                f"pictures are {self.pictures.dtype} {list(self.pictures.shape)}; expected uint8 "
                "[pictures, channels, height, width]"
            )
        counts = self.counts
        if counts.ndim != 1 or counts.dtype.kind not in "iu" or counts.min(initial=0) < 0:
            raise InputError(
                f"counts are {counts.dtype} {list(counts.shape)}, the least {counts.min()}; "
                "expected whole numbers [classes], 0 or more"
            )
        if len(counts) != len(self.names) or counts.sum() != len(self.pictures):
            raise InputError(
                f"{len(self.names)} names and {len(counts)} counts that sum to "
                f"{counts.sum()} for {len(self.pictures)} pictures; expected one name and one "
                "count a class, and as many pictures as the counts sum to"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """``int64 [classes]``: where each class begins in ``pictures``."""
        return np.cumsum(self.counts) - self.counts

    def subset(self, classes: Sequence[int]) -> Self:
        """The given classes, in the given order."""
        starts, counts = self.starts, self.counts[list(classes)]
        rows = [np.arange(starts[c], starts[c] + self.counts[c]) for c in classes]
        pictures = self.pictures[np.concatenate(rows) if rows else []]
        names = tuple(self.names[c] for c in classes)
        return type(self)(pictures, names, counts, self.preparation)
