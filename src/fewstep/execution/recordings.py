"""Which outer steps are recorded, and the recordings that are kept."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("fewstep")

MOST_KEPT = 4
"""Recordings that are kept, those used last."""
RECORD_AFTER = 100
"""Outer steps of one kind in a row before such are recorded, where nobody has told how many come.

A recording takes a minute, or seconds where its code is on disk, and saves some hundredths of a
second each time: it pays after a thousand. Who tries something out takes a few outer steps; who has
taken a hundred trains, and a hundred take some seconds.
"""
STAGES = 3
"""Kinds of outer steps that a training has at most, such as first order and then exact gradients.

They are recorded at once, so that a resumed training records at the same steps. Any more kinds are
recorded after `RECORD_AFTER` steps in a row.
"""
WORTH_RECORDING = 1_000
"""Outer steps of a training that are recorded from the first; of a shorter one, none is.

By this number and not by what was seen, so that a training goes the same way when it is resumed.
"""


@dataclass
class Recordings:
    """The recordings of one learner.

    Attributes:
        compiled: Whether functions are compiled.
        recorded: Whether outer steps are recorded, which needs CUDA; else they are computed in the
            same memory, operation by operation.
        expected: Outer steps that will be taken; None where that is not known.
    """

    compiled: bool = True
    recorded: bool = True
    expected: int | None = None
    _kept: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    _refused: set[Hashable] = field(default_factory=set)
    _latest: Hashable = None
    _in_a_row: int = 0
    _told: bool = False

    def of(self, key: Hashable, record: Callable[[], Any]) -> Any:
        """The recording of a key, made now where there is none."""
        if key not in self._kept:
            self._kept[key] = record()
            if len(self._kept) > MOST_KEPT:
                self.refuse(self._kept.popitem(last=False)[0])
                self._tell_of_many()
        self._kept.move_to_end(key)
        return self._kept[key]

    def wants(self, key: Hashable, at_once: bool = False) -> bool:
        """Whether such an outer step is to be computed by a recording; it counts as one of them.

        Args:
            key: Of the outer step.
            at_once: Whether recordings were asked for.
        """
        self._in_a_row = self._in_a_row + 1 if key == self._latest else 1
        self._latest = key
        if key in self._kept:
            return True
        if key in self._refused:
            return False
        if not at_once and self.expected is not None and self.expected < WORTH_RECORDING:
            return False
        most = MOST_KEPT if at_once else STAGES if self.expected is not None else 0
        soon = len(self._kept) < most
        if not soon and (self._kept or self.expected):
            self._tell_of_many()
        return soon or self._in_a_row > RECORD_AFTER

    def expect(self, outer_steps: int | None) -> None:
        """Be told of so many outer steps; afterwards of none, and the memory is free again."""
        self.expected = outer_steps
        if outer_steps is None:
            self._kept.clear()

    def refuse(self, key: Hashable) -> None:
        """Never record such outer steps."""
        self._refused.add(key)

    def _tell_of_many(self) -> None:
        if not self._told:
            log.info(
                "an outer step is of another kind or shape than those that are recorded; recorded "
                "when %d such have come in a row, and computed without until then",
                RECORD_AFTER,
            )
        self._told = True

    def __len__(self) -> int:
        return len(self._kept)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, in another process perhaps, records its own.
        return Recordings, (self.compiled, self.recorded, self.expected)
