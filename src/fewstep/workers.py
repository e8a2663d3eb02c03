"""Processes that each do a share of some work, with one thread each.

On a CPU, tasks side by side keep all cores busy where the small operations of one task cannot.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from fewstep.errors import InputError
from fewstep.messages import Channel, Message, both_ends, packed
from fewstep.threads import one_thread

Job = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments."""
Outcome = tuple[Any, Exception | None]
"""What it returned, or what it raised."""


class Workers:
    """Does several jobs at once: the first in this process, each other in one of its own.

    Args:
        number: Of processes, with this one.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._channels: list[Channel] = []
        self._processes: list[BaseProcess] = []
        self._start()
        weakref.finalize(self, _close, self._channels)

    def run(self, jobs: Sequence[Job]) -> list[Any]:
        """The results of at most ``number`` jobs, in order.

        Raises:
            InputError: A job cannot be sent to another process, or that process ended.
            Exception: What the first job to fail raised.
        """
        sent = [packed(job) for job in jobs[1:]]
        if not self._processes:
            self._start()
        busy = self._channels[: len(sent)]
        try:
            with one_thread():
                for channel, message in zip(busy, sent, strict=True):
                    _send(channel, message)
                outcomes = [_outcome(jobs[0]), *map(_receive, busy)]
        except BaseException:
            # Ctrl-C, or the end of a process. The pipes may hold answers that nobody waits for.
            self._stop()
            raise
        for _, error in outcomes:
            if error is not None:
                raise error
        return [result for result, _ in outcomes]

    def _start(self) -> None:
        # A process that is forked knows what the user's script defined, without running it again.
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        for _ in range(self.number - 1):
            here, there = both_ends()
            process = context.Process(target=_serve, args=(there, os.getpid()), daemon=True)
            with warnings.catch_warnings():
                # Python warns of any fork beside threads; PyTorch's only sleep between its calls.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            there.close()
            self._channels.append(here)
            self._processes.append(process)
            _ours.add(here)

    def _stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.join()
        _close(self._channels)
        self._channels.clear()
        self._processes.clear()


_ours: set[Channel] = set()
"""The ends of all channels that belong to the first process; one that is forked inherits them."""


def _serve(channel: Channel, parent: int) -> None:
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
    _close(list(_ours))
    while True:
        # Should the first process be killed while it starts another, its pipe stays open.
        while not channel.poll(1.0):
            if os.getppid() != parent:
                return
        try:
            job: Job = channel.read()
        except (EOFError, ConnectionResetError):
            return
        try:
            channel.write(packed(_outcome(job)))
        except BrokenPipeError:
            return


def _outcome(job: Job) -> Outcome:
    function, arguments = job
    try:
        return function(*arguments), None
    except Exception as error:
        # A traceback holds frames, which cannot be sent; the error alone says what is wrong.
        return None, error.with_traceback(None)


def _send(channel: Channel, message: Message) -> None:
    try:
        channel.write(message)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise _ended() from error


def _receive(channel: Channel) -> Outcome:
    try:
        outcome: Outcome = channel.read()
    except (EOFError, ConnectionResetError) as error:
        raise _ended() from error
    return outcome


def _ended() -> InputError:
    return InputError(
        "a worker process ended before its work was done, perhaps for lack of memory; use fewer "
        "workers"
    )


def _close(channels: list[Channel]) -> None:
    for channel in channels:
        channel.close()
        _ours.discard(channel)
