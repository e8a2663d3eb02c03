"""Processes that each do a share of some work, with one thread each.

On a CPU, tasks side by side keep all cores busy where the small operations of one task cannot.
"""

import logging
import multiprocessing.process
import os
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from fewstep.distributed.messages import packed, packed_error, unpacked
from fewstep.errors import InputError, first_line
from fewstep.runtime.children import end_with
from fewstep.runtime.modes import one_thread

Job = tuple[Any, ...]  # a function, and its arguments

MOST_PER_CORE = 8
"""A process computes with one thread, so more than one a core gain nothing. Several are allowed,
for scripts from a larger machine and cores that are miscounted; more can only be a mistake."""


def check_number(workers: int) -> None:
    """Refuse a number of processes that can only be a mistake on this machine."""
    cores = os.cpu_count() or 1
    most = MOST_PER_CORE * cores
    if not isinstance(workers, int) or not 1 <= workers <= most:
        raise InputError(
            f"workers is {workers!r}; expected 1 to {most} on this machine of {cores} cores, best "
            f"{cores}, one a core"
        )


class Workers:
    """Does several jobs at once: the first in this process, each other in one of its own.

    Processes start when there is work and end with this object; copies and forks have their own.
    One thread at a time may use them.
    """

    def __init__(self) -> None:
        self._busy = False
        self._started: dict[BaseProcess, Connection] = {}
        _all_workers.add(self)

    def __reduce__(self) -> "tuple[type[Workers], tuple[()]]":
        return Workers, ()

    def __del__(self) -> None:
        self._stop()

    def run(self, jobs: Sequence[Job]) -> list[Any]:
        """Return the results of the jobs, in order; the first error of a job is raised."""
        if self._busy:
            raise InputError(
                "a Parallel was called from within its own call, as by a loss or a signal handler; "
                "use the learner in it, or a copy"
            )
        sent = [packed(job) for job in jobs[1:]]
        self._busy = True
        try:
            connections = self._connections(len(sent))
            with one_thread():
                with _all_alive():
                    for connection, message in zip(connections, sent, strict=True):
                        connection.send_bytes(message)
                function, *arguments = jobs[0]
                return [function(*arguments), *map(_receive, connections)]
        except BaseException:
            # A mistake, Ctrl-C, or the end of a process. The pipes may hold answers that nobody
            # waits for; processes that are forked anew know what the user defines until then.
            self._stop()
            raise
        finally:
            self._busy = False

    def _connections(self, number: int) -> list[Connection]:
        while len(self._started) < number:
            try:
                self._start()
            except (OSError, AssertionError) as error:
                raise InputError(
                    f"a worker process cannot be started ({first_line(error)}); use fewer workers"
                ) from error
        return list(self._started.values())[:number]

    def _start(self) -> None:
        # A process that is forked knows what the user's script defined, without running it again.
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, os.getpid()), daemon=True)
        with there, warnings.catch_warnings():
            # Python warns of any fork beside threads; PyTorch's only sleep between its calls.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self._started[process] = here

    def _stop(self) -> None:
        """End all processes, whatever they are doing, and wait until they are gone."""
        # Taken out first: a thread may be at work as the program ends.
        started, self._started = self._started, {}
        for process, connection in started.items():
            process.kill()
            process.join()
            connection.close()


_all_workers: weakref.WeakSet[Workers] = weakref.WeakSet()


def _leave_all() -> None:
    """In a process that was forked: leave the others to the one that started them."""
    for workers in list(_all_workers):
        # Or else this process would end them as it ends.
        vars(multiprocessing.process)["_children"].difference_update(workers._started)
        workers._busy, workers._started = False, {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)


@contextmanager
def _all_alive() -> Iterator[None]:
    """Tell in one line of the end of a process."""
    try:
        yield
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise InputError(
            "a worker process ended before its work was done, perhaps for lack of memory; use "
            "fewer workers"
        ) from error


def _receive(connection: Connection) -> Any:
    with _all_alive():
        message = connection.recv_bytes()
    result, failure = unpacked(message)
    if failure is not None:
        raise failure
    return result


def _serve(connection: Connection, parent: int) -> None:
    """Do jobs until the first process ends this one, or ends itself."""
    # Ctrl-C goes to all processes; the first of them decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The first may be gone without a word, and its pipe open in others.
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)
    # The first process does the same and tells of it.
    logging.getLogger("fewstep").setLevel(logging.ERROR)
    # The helpers that compile for the first process do not answer to one that was forked.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    if "torch._inductor.config" in sys.modules:
        sys.modules["torch._inductor.config"].compile_threads = 1  # type: ignore[attr-defined]
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))


def _answer(message: bytes) -> bytes:
    try:
        function, *arguments = unpacked(message)
        return packed((function(*arguments), None))
    except Exception as error:
        return packed_error(error)
