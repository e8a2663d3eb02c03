"""Processes that are forked to be ranks beside this one, with one thread each.

On a CPU, tasks side by side keep all cores busy where the small operations of one task cannot.
"""

import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import torch
from torch.distributed import FileStore, Store  # type: ignore[attr-defined]

from fewstep.errors import InputError, first_line
from fewstep.runtime.children import end_with
from fewstep.whole_numbers import as_whole

MOST_PER_CORE = 8
"""One gains most; several are for scripts from a larger machine, and cores that are miscounted."""
POSSIBLE = sys.platform == "linux"
"""Whether a process may be forked safely; elsewhere torchrun starts the ranks."""
_INTERFACE = "GLOO_SOCKET_IFNAME"


def check_number(workers: object) -> int:
    """Refuse a number of processes that can only be a mistake on this machine."""
    cores = os.cpu_count() or 1
    most = MOST_PER_CORE * cores
    number = as_whole(workers)
    if number is None or not 1 <= number <= most:
        raise InputError(
            f"workers is {workers!r}; expected 1 to {most} on this machine of {cores} cores, best "
            f"{cores}, one a core"
        )
    if number > 1 and not POSSIBLE:
        raise InputError(
            f"workers is {number}, and processes are forked on Linux alone; use torchrun "
            f"--nproc-per-node {number}"
        )
    return number


@contextmanager
def processes(number: int) -> Iterator[tuple[int, Store]]:
    """Run the inside in so many processes; the number of each, and a store that they share.

    Only this one, the first, comes out of it: the others end there, silently, or with this one.
    """
    before, owner = os.environ.get(_INTERFACE), os.getpid()
    # A file that only its owner can read, where a port would be open to the network: errors are
    # unpickled from it.
    folder = tempfile.mkdtemp(prefix="fewstep-")
    store = partial(FileStore, f"{folder}/store", number)
    clean_up = partial(shutil.rmtree, folder, ignore_errors=True)
    children: list[int] = []
    try:
        os.environ[_INTERFACE] = "lo"  # they talk on this machine alone
        # Garbage such as a group from before has threads that no fork has, and waits for them as it
        # goes. What is none is kept by the forks to their end.
        gc.collect()
        for rank in range(1, number):
            child = _fork()
            if child:
                children.append(child)
                continue
            try:
                gc.freeze()
                _become_rank(owner, clean_up)
                yield rank, store()
            finally:
                if os.getppid() != owner:  # which was killed
                    clean_up()
                os._exit(0)  # without a way back to whoever called the first
        yield 0, store()
    finally:
        os.environ.pop(_INTERFACE, None)
        os.environ.update({} if before is None else {_INTERFACE: before})
        # Not in a process that the inside forked in its turn.
        if os.getpid() == owner:
            for child in children:
                with suppress(ProcessLookupError, ChildProcessError):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
            clean_up()


def _fork() -> int:
    try:
        with warnings.catch_warnings():
            # Python warns of any fork beside threads; PyTorch's only sleep between its calls.
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    except OSError as error:
        told = f"a process cannot be started ({first_line(error)}); use fewer workers"
        raise InputError(told) from error


def _become_rank(owner: int, clean_up: Callable[[], object]) -> None:
    """Compute with one thread, silently, and end soon after the first process."""
    # Ctrl-C goes to all processes; the first of them decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with, args=(owner, clean_up), daemon=True).start()
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - it is never closed
    logging.getLogger("fewstep").setLevel(logging.CRITICAL)
    # The helpers that compile for the first process do not answer to one that was forked.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    if "torch._inductor.config" in sys.modules:
        sys.modules["torch._inductor.config"].compile_threads = 1  # type: ignore[attr-defined]
