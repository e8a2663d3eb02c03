"""How the ranks of a launcher find one another, also when it starts them anew."""

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from fewstep.runtime.children import end_with

POLL = 0.02  # seconds
LINGER = 2.0
"""Seconds that the process with the store stays for those that still have to read from it."""


def end_with_launcher() -> None:
    """End soon after torchrun, where that started this rank, however it ends.

    Ranks have sessions of their own, and would hold the run directory to the end of the training.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


def own_store(store: Store, rank: int, size: int) -> Store:
    """The part of a store that no earlier attempt of the same launcher has written to.

    torchrun has one store for all attempts, where addresses and errors of ranks that are gone stay,
    and the count of attempts is not the same on all machines. So each rank leaves a fresh token,
    and goes on when the first has answered to that; the answer is the name of the part.
    """
    if rank:
        token = uuid.uuid4().hex
        store.set(f"hello/{rank}", token)
        name = store.get(f"welcome/{token}").decode()
        store.set(f"{name}/ready/{rank}", "")
        return PrefixStore(name, store)
    name, waiting, answered = uuid.uuid4().hex, set(range(1, size)), set[bytes]()
    while waiting:
        for other in sorted(waiting):
            if store.check([f"{name}/ready/{other}"]):
                waiting.remove(other)
            elif store.check([f"hello/{other}"]):
                token_of_other = store.get(f"hello/{other}")
                if token_of_other not in answered:
                    store.set(f"welcome/{token_of_other.decode()}", name)
                    answered.add(token_of_other)
        time.sleep(POLL)
    return PrefixStore(name, store)


@contextmanager
def staying(store: Store, rank: int, size: int) -> Iterator[None]:
    """After an error, keep the store of this process until the others have read what it was."""
    try:
        yield
    except BaseException:
        with suppress(RuntimeError):
            if rank:
                store.add("left", 1)
            elif os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
                end = time.monotonic() + LINGER
                while store.add("left", 0) < size - 1 and time.monotonic() < end:
                    time.sleep(POLL)
        raise
