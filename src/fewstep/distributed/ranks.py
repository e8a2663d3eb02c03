"""Ranks: processes that run the same program, each with its share of the tasks.

Those of torchrun, or forked ones. Every rank goes through the same steps in the same order, and all
of them have to call the methods of `Ranks` by which they tell one another something.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from fewstep.distributed import forked
from fewstep.distributed.ended import all_there, leave
from fewstep.distributed.meeting import end_with_launcher, own_store, staying
from fewstep.runtime.launched import launched
from fewstep.runtime.modes import one_thread

_T = TypeVar("_T")


@dataclass(frozen=True)
class Ranks:
    """All ranks, as one of them sees them: its own number, and how many there are."""

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
            with all_there(_store):
                dist.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, by their numbers."""
        found = [value] * self.size
        if self.size > 1:
            with all_there(_store):
                dist.all_gather_object(found, value)
        return found

    def from_first(self, make: Callable[[], _T]) -> _T:
        """A value that the first rank alone makes."""
        found: list[Any] = [make() if self.is_first else None]
        if self.size > 1:
            with all_there(_store):
                dist.broadcast_object_list(found)
        return cast(_T, found[0])

    def wait(self) -> None:
        """Go on when all ranks are here."""
        self.gather(None)


_here = Ranks()
_store: Store | None = None
failed_first: bool | None = None
"""Whether this rank failed before all others; None where none did, or it is not known."""


def ranks() -> Ranks:
    """The ranks that compute together now; one outside of `joined`."""
    return _here


@contextmanager
def joined(workers: int = 1) -> Iterator[Ranks]:
    """Inside, several ranks run what stands there: those of torchrun, or else so many processes.

    Processes are forked, and end where the inside does, so that this one alone goes on. Within, it
    changes nothing. An error of one rank ends all: that of a forked process is raised here.
    """
    forked.check_number(workers)
    if _here.size > 1:
        yield _here
    elif dist.is_initialized() and dist.get_world_size() > 1:
        with _as(Ranks(dist.get_rank(), dist.get_world_size())) as here:
            yield here
    elif launched():
        end_with_launcher()
        shared, rank, size = next(rendezvous("env://"))
        store = own_store(shared, rank, size)
        backend = None if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        with (
            staying(store, rank, size),
            _group(store, rank, size, backend),
            _as(Ranks(rank, size), store) as here,
        ):
            yield here
    elif workers > 1:
        with (
            one_thread(),
            forked.processes(workers) as (rank, store),
            _group(store, rank, workers, "gloo", timedelta(days=1)),
            _as(Ranks(rank, workers), store) as here,
        ):
            yield here
    else:
        yield _here


@contextmanager
def _group(
    store: Store, rank: int, size: int, backend: str | None, timeout: timedelta | None = None
) -> Iterator[None]:
    """The default group of PyTorch, for a while."""
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    try:
        yield
    finally:
        # Others that wait for this rank learn by it that it is gone.
        with suppress(RuntimeError):
            dist.destroy_process_group()


@contextmanager
def _as(these: Ranks, store: Store | None = None) -> Iterator[Ranks]:
    global _here, _store, failed_first
    _here, _store, failed_first = these, store, None
    try:
        yield these
    except BaseException as error:
        if store is not None:
            failed_first = leave(store, error)
        raise
    finally:
        _here, _store = Ranks(), None
