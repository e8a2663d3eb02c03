"""Processes that each do a share of some work, with one thread each.

On a CPU, tasks side by side keep all cores busy where the small operations of one task cannot.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from fewstep.distributed.messages import Channel, Message, packed, packed_error, unpacked
from fewstep.distributed.team import Team
from fewstep.errors import InputError
from fewstep.runtime.modes import one_thread

Job = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments."""
Outcome = tuple[Any, Exception | None]
"""A result, or the error instead of it."""

MOST_PER_CORE = 8
"""A process computes with one thread, so more than one a core gain nothing. Several are allowed,
for scripts from a larger machine and cores that are miscounted; more can only be a mistake."""


def check_number(workers: int) -> None:
    """See that this machine can be asked for so many processes.

    Raises:
        InputError: It cannot.
    """
    cores = os.cpu_count() or 1
    most = MOST_PER_CORE * cores
    if not isinstance(workers, int) or not 1 <= workers <= most:
        raise InputError(
            f"workers is {workers!r}; expected 1 to {most} on this machine of {cores} cores, best "
            f"{cores}, one a core"
        )


class Workers:
    """Does several jobs at once: the first in this process, each other in one of its own.

    The processes are started when there is work for them and end with this object. A copy has its
    own, and so has a process that the user's program forks.

    Args:
        number: Of processes at most, with this one.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._team = Team(_serve)
        weakref.finalize(self, self._team.stop)

    def __reduce__(self) -> tuple[type[Workers], tuple[int]]:
        return Workers, (self.number,)

    @contextmanager
    def taken(self) -> Iterator[Callable[[Sequence[Job]], list[Any]]]:
        """Wait until no other thread uses the processes; gives the function that does jobs.

        It takes at most ``number`` of them and returns their results in order.

        Raises:
            InputError: A job cannot be sent to another process, or that process ended; or the
                thread has taken them already.
            Exception: What the first job to fail raised.
        """
        team, thread = self._team, threading.get_ident()
        if team.taken_by == thread:
            raise InputError(
                "a Parallel was called from within its own call, as by a loss or a signal handler; "
                "use the learner in it, or a copy"
            )
        with team.lock:
            team.taken_by = thread
            try:
                yield self._run
            finally:
                team.taken_by = None

    def _run(self, jobs: Sequence[Job]) -> list[Any]:
        sent = [packed(job) for job in jobs[1:]]
        try:
            channels = self._team.channels_to(len(sent))
            with one_thread():
                for channel, message in zip(channels, sent, strict=True):
                    _send(channel, message)
                function, arguments = jobs[0]
                return [function(*arguments), *map(_receive, channels)]
        except BaseException:
            # A mistake, Ctrl-C, or the end of a process. The pipes may hold answers that nobody
            # waits for; processes that are forked anew know what the user defines until then.
            self._team.stop()
            raise


def _serve(channel: Channel, parent: int) -> None:
    """Do jobs until the first process lets go of the channel."""
    # Ctrl-C goes to all processes; the first of them decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    # The first process does the same and tells of it.
    logging.getLogger("fewstep").setLevel(logging.ERROR)
    # The helpers that compile for the first process do not answer to one that was forked.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    if "torch._inductor.config" in sys.modules:
        sys.modules["torch._inductor.config"].compile_threads = 1  # type: ignore[attr-defined]
    while True:
        # Should the first process be killed while it starts another, its pipe stays open.
        while not channel.poll(1.0):
            if os.getppid() != parent:
                return
        try:
            channel.write(_answer(channel.read()))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _answer(message: Message) -> Message:
    try:
        function, arguments = unpacked(message)
        return packed((function(*arguments), None))
    except Exception as error:
        return packed_error(error)


def _send(channel: Channel, message: Message) -> None:
    try:
        channel.write(message)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise _ended() from error


def _receive(channel: Channel) -> Any:
    try:
        message = channel.read()
    except (EOFError, ConnectionResetError) as error:
        raise _ended() from error
    outcome: Outcome = unpacked(message)
    result, failure = outcome
    if failure is not None:
        raise failure
    return result


def _ended() -> InputError:
    return InputError(
        "a worker process ended before its work was done, perhaps for lack of memory; use fewer "
        "workers"
    )
