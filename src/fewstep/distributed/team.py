"""Other processes, from their start to their end."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from fewstep.distributed.messages import Channel, both_ends
from fewstep.errors import InputError, first_line


class Team:
    """Processes that are started when they are needed, and the channels to them.

    Args:
        serve: What each of them does, with its end of the channel and the number of the process
            that started it.
    """

    def __init__(self, serve: Callable[[Channel, int], None]) -> None:
        self._serve = serve
        self._forget()
        _teams.add(self)

    def _forget(self) -> None:
        """Begin without any process."""
        self.lock = threading.Lock()
        self.taken_by: int | None = None
        self._channels: list[Channel] = []
        self._processes: list[BaseProcess] = []

    def channels_to(self, number: int) -> list[Channel]:
        """The ends of the channels to so many processes.

        Raises:
            InputError: The system gives no more processes, or none to this one.
        """
        while len(self._processes) < number:
            try:
                self._start()
            except (OSError, AssertionError) as error:
                raise InputError(
                    f"a worker process cannot be started ({first_line(error)}); use fewer workers"
                ) from error
        return self._channels[:number]

    def stop(self) -> None:
        """End all processes, whatever they are doing, and wait until they are gone."""
        # Taken out first: a thread may be at work as the program ends.
        processes, self._processes = self._processes, []
        channels, self._channels = self._channels, []
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
            if process.exitcode is not None:
                process.close()
        for channel in channels:
            channel.close()

    def leave(self) -> None:
        """In a process that was forked: leave the others to the one that started them."""
        for channel in self._channels:
            channel.close()
        # Or else this process would end them as it ends.
        vars(multiprocessing.process)["_children"].difference_update(self._processes)
        self._forget()

    def _start(self) -> None:
        # A process that is forked knows what the user's script defined, without running it again.
        context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        here, there = both_ends()
        # Before the fork, or the new process would not let go of this end.
        self._channels.append(here)
        try:
            process = context.Process(target=self._serve, args=(there, os.getpid()), daemon=True)
            with warnings.catch_warnings():
                # Python warns of any fork beside threads; PyTorch's only sleep between its calls.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            self._processes.append(process)
        finally:
            there.close()


_teams: weakref.WeakSet[Team] = weakref.WeakSet()


def _leave_all() -> None:
    for team in list(_teams):
        team.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
