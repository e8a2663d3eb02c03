"""ImageClasses: labelled pictures as bytes, in memory or in a memory-mapped file."""

from collections.abc import Iterator, Sequence
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
            side, in the order of ``names``. It may be a `numpy.memmap`.
        names: One name a class.
        counts: ``int64 [classes]``, how many pictures each class has.
        preparation: How they were made of files, and how a new one is treated alike; None where
            nobody knows.
        first: ``int64 [classes]``, where each class begins in ``pictures``, if not where the one
            before it ends: a subset of a memory-mapped file holds the whole file.
        digests: One of each class, which other pictures would change; or None.

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
    first: npt.NDArray[np.int64] | None = None
    digests: tuple[str, ...] | None = None

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
        inside = counts.sum() == len(self.pictures)
        if self.first is not None:
            inside = len(self.first) == len(counts) and bool(
                ((self.first >= 0) & (self.first + counts <= len(self.pictures))).all()
            )
        if len(counts) != len(self.names) or not inside:
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
        if self.first is not None:
            return self.first
        return np.cumsum(self.counts) - self.counts

    def of(self, number: int) -> npt.NDArray[np.uint8]:
        """The pictures of a class: ``uint8 [pictures, channels, height, width]``."""
        start = int(self.starts[number])
        return self.pictures[start : start + int(self.counts[number])]

    def subset(self, classes: Sequence[int]) -> Self:
        """The given classes, in the given order; none is read from a memory-mapped file."""
        chosen = np.array(classes, np.int64)
        names = tuple(self.names[c] for c in classes)
        digests = None if self.digests is None else tuple(self.digests[c] for c in classes)
        starts, counts = self.starts[chosen], self.counts[chosen]
        if isinstance(self.pictures, np.memmap):
            return type(self)(self.pictures, names, counts, self.preparation, starts, digests)
        rows = [np.arange(*ends) for ends in zip(starts, starts + counts, strict=True)]
        pictures = self.pictures[np.concatenate(rows) if rows else []]
        return type(self)(pictures, names, counts, self.preparation, None, digests)

    def content(self) -> Iterator[bytes | memoryview]:
        """The names of the classes, their counts, and all pictures or their digests."""
        yield f"{self.names} {self.counts.tolist()}".encode("utf-8", "surrogateescape")
        if self.digests is None:
            yield self.pictures.ravel().data
        else:
            yield f"{self.preparation} {self.digests}".encode()
