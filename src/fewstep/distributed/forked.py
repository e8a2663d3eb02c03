"""Processes that are forked to be ranks beside this one, with one thread each.

On a CPU, tasks side by side keep all cores busy where the small operations of one task cannot.
"""

import gc
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch.distributed import Store, TCPStore

from fewstep.errors import InputError, first_line
from fewstep.runtime.children import end_with

MOST_PER_CORE = 8
"""A process computes with one thread, so more than one a core gain nothing. Several are allowed,
for scripts from a larger machine and cores that are miscounted; more can only be a mistake."""
POSSIBLE = sys.platform == "linux"
"""Whether a process may be forked safely; elsewhere torchrun starts the ranks."""


def check_number(workers: object) -> None:
    """Refuse a number of processes that can only be a mistake on this machine."""
    cores = os.cpu_count() or 1
    most = MOST_PER_CORE * cores
    if not isinstance(workers, int) or not 1 <= workers <= most:
        raise InputError(
            f"workers is {workers!r}; expected 1 to {most} on this machine of {cores} cores, best "
            f"{cores}, one a core"
        )
    if workers > 1 and not POSSIBLE:
        raise InputError(
            f"workers is {workers}, and processes are forked on Linux alone; use torchrun "
            f"--nproc-per-node {workers}"
        )


@contextmanager
def processes(number: int) -> Iterator[tuple[int, Store]]:
    """Run the inside in so many processes; the number of each, and a store that they share.

    Only this one, the first, comes out of it: the others end there, silently, or with this one.
    """
    before, owner = os.environ.get(_INTERFACE), os.getpid()
    os.environ[_INTERFACE] = "lo"  # they talk on this machine alone
    store = TCPStore("127.0.0.1", 0, number, is_master=True, wait_for_workers=False)
    children: list[int] = []
    # What is garbage by now, such as a group from before, may have threads that no fork has: it
    # would wait for them as it goes. What is not stays in the forks to their end.
    gc.collect()
    try:
        for rank in range(1, number):
            child = _fork()
            if not child:
                gc.freeze()
                _become_rank(owner)
                with _ends_here():
                    yield rank, TCPStore("127.0.0.1", store.port, number, is_master=False)
            children.append(child)
        yield 0, store
    finally:
        os.environ.pop(_INTERFACE) if before is None else os.environ.update({_INTERFACE: before})
        # Not in a process that the inside forked in its turn.
        for child in children if os.getpid() == owner else ():
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


_INTERFACE = "GLOO_SOCKET_IFNAME"


def _fork() -> int:
    try:
        with warnings.catch_warnings():
            # Python warns of any fork beside threads; PyTorch's only sleep between its calls.
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    except OSError as error:
        raise InputError(
            f"a process cannot be started ({first_line(error)}); use fewer workers"
        ) from error


def _become_rank(owner: int) -> None:
    """Compute with one thread, silently, and end soon after the first process."""
    # Ctrl-C goes to all processes; the first of them decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with, args=(owner,), daemon=True).start()
    torch.set_num_threads(1)
    # The first process does the same and tells of it.
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - it is never closed
    logging.getLogger("fewstep").setLevel(logging.CRITICAL)
    # The helpers that compile for the first process do not answer to one that was forked.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    if "torch._inductor.config" in sys.modules:
        sys.modules["torch._inductor.config"].compile_threads = 1  # type: ignore[attr-defined]


@contextmanager
def _ends_here() -> Iterator[None]:
    """End this process where the inside ends, without a way back to whoever called the first."""
    status = 1
    try:
        yield
        status = 0
    finally:
        os._exit(status)
