"""Figures as event files for TensorBoard, written by the run itself.

torch's SummaryWriter has a thread of its own, whose errors come late, as tracebacks, or never.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from fewstep.errors import InputError
from fewstep.training.appended import Appended


class Events:
    """One event file.

    Args:
        folder: Where; it may hold the files of the run's earlier processes.
        step: Outer steps done. TensorBoard forgets what those files tell of later ones.

    Raises:
        InputError: It cannot be written.
    """

    def __init__(self, folder: Path, step: int) -> None:
        if folder.exists() and not folder.is_dir():
            raise InputError(
                f"{folder} is no folder, as TensorBoard's files need; remove it or train in a new "
                "run directory"
            )
        stamp = f"{time.time_ns() / 1e9:.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = Appended(folder / f"events.out.tfevents.{stamp}")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Add figures by name; a slash groups names."""
        values = [Summary.Value(tag=name, simple_value=figures[name]) for name in figures]
        self._add(Event(step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        """Let a reader see all that was added.

        Raises:
            InputError: It cannot be written.
        """
        self._file.flush()

    def close(self) -> None:
        """Write what is left, and close the file in any case.

        Raises:
            InputError: As `flush`.
        """
        self._file.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
