"""Ranks: processes that run the same program, each with its share of the tasks.

They are those of torchrun, or others that are forked (`forked`). Every rank goes through the same
steps in the same order; what they tell one another goes through the methods of `Ranks`, which all
of them have to call.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from fewstep.distributed import forked
from fewstep.distributed.ended import Claims, all_there
from fewstep.runtime.modes import one_thread

_T = TypeVar("_T")


@dataclass(frozen=True)
class Ranks:
    """All ranks, as one of them sees them.

    Attributes:
        rank: The number of this one.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def share(self, numbers: range, *, apart: bool = True) -> range:
        """This rank's part, which may be none; all parts together are the whole.

        What cannot be computed ``apart`` is the first rank's.

        >>> [Ranks(rank, 3).share(range(10, 18)) for rank in range(3)]
        [range(10, 12), range(12, 15), range(15, 18)]
        """
        if not apart:
            return numbers if self.is_first else numbers[:0]
        first, end = (len(numbers) * part // self.size for part in (self.rank, self.rank + 1))
        return numbers[first:end]

    def sum(self, values: Tensor) -> Tensor:
        """The sum of such a tensor over all ranks, the same to the bit on each."""
        if self.size > 1:
            with all_there(_claims):
                dist.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, by their numbers."""
        found = [value] * self.size
        if self.size > 1:
            with all_there(_claims):
                dist.all_gather_object(found, value)
        return found

    def from_first(self, make: Callable[[], _T]) -> _T:
        """A value that the first rank alone makes."""
        found: list[Any] = [make() if self.is_first else None]
        if self.size > 1:
            with all_there(_claims):
                dist.broadcast_object_list(found)
        made: _T = found[0]
        return made

    def wait(self) -> None:
        """Go on when all ranks are here."""
        self.gather(None)


_ALONE = Ranks()
_here = _ALONE
_claims: Claims | None = None


def ranks() -> Ranks:
    """The ranks that compute together now; one outside of `joined`."""
    return _here


def launched() -> bool:
    """Whether a launcher such as torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def joined(workers: int = 1) -> Iterator[Ranks]:
    """Inside, several ranks run what stands there: those of torchrun, or else so many processes.

    Processes are forked, have one thread each and end where the inside does, so that this one alone
    goes on. Within, it changes nothing. An error of one rank ends all: that of a forked process is
    raised here.

    Raises:
        InputError: No process can be started, or one ended before its work was done.
    """
    if _here.size > 1:
        yield _here
    elif launched() or (dist.is_initialized() and dist.get_world_size() > 1):
        with _launched() as claims, _as(Ranks(dist.get_rank(), dist.get_world_size()), claims):
            yield _here
    elif workers > 1:
        forked.check_number(workers)
        with one_thread(), forked.processes(workers) as (rank, store):
            with _group(store, rank, workers), _as(Ranks(rank, workers), Claims(store)):
                yield _here
    else:
        yield _ALONE


@contextmanager
def _launched() -> Iterator[Claims | None]:
    """The group of a launcher, which may be there already."""
    if dist.is_initialized():
        yield None
        return
    store, rank, size = next(rendezvous("env://"))
    with _group(store, rank, size, None):
        yield Claims(store)


@contextmanager
def _group(
    store: dist.Store, rank: int, size: int, timeout: timedelta | None = timedelta(days=1)
) -> Iterator[None]:
    backend = "gloo" if timeout or not torch.cuda.is_available() else None
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    try:
        yield
    finally:
        # Others that wait for this rank learn by it that it is gone.
        with suppress(RuntimeError):
            dist.destroy_process_group()


@contextmanager
def _as(these: Ranks, claims: Claims | None) -> Iterator[None]:
    global _here, _claims
    _here, _claims = these, claims
    try:
        yield
    except BaseException as error:
        if claims is not None:
            claims.claim(error)
        raise
    finally:
        _here, _claims = _ALONE, None
