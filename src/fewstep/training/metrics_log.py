"""Metrics of a run: JSON lines and TensorBoard, the same figures in both.

torch's SummaryWriter has a thread of its own, whose errors come late, as tracebacks, or never.
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from fewstep.errors import InputError
from fewstep.files import cannot_read, cannot_write, rounded
from fewstep.training.run_dir import RunDir

SECONDS = 10.0  # how long a reader waits for new lines at most, where outer steps are short


class Appended:
    """Bytes appended to a file, whole pieces only; it is noticed where the file is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[bytes] = []
        try:
            path.parent.mkdir(exist_ok=True)
            # Unbuffered: what could not be written must not be tried again when it is closed.
            self._file = path.open("ab", buffering=0)
            self._whole = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise cannot_write(path, error) from error

    def write(self, piece: bytes) -> None:
        """Add a piece, which the next `flush` writes."""
        self._waiting.append(piece)

    def flush(self) -> None:
        """Write what was added. Where that fails, what was written before stays whole."""
        rest = memoryview(b"".join(self._waiting))
        self._waiting.clear()
        try:
            if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                raise FileExistsError(0, "another file stands there now")
            while rest:
                rest = rest[self._file.write(rest) :]
            self._whole = self._file.tell()
        except OSError as error:
            # A line that stays cut short is passed over when it is read.
            with contextlib.suppress(OSError):
                self._file.truncate(self._whole)
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Write what is left, and close the file in any case."""
        with self._file:
            self.flush()


class MetricsLog:
    """Writes the figures from an outer step on; cuts off what an earlier run wrote beyond it."""

    def __init__(self, run: RunDir, step: int) -> None:
        self.path = run.metrics
        kept = _lines_until(self.path, step)
        run.write(self.path, "".join(kept))
        told = [json.loads(line) for line in kept]
        # Each once: a line may stand there twice, as in a copy that was put together.
        self.missing = step - len({line["step"] for line in told if "train/loss" in line})
        with contextlib.ExitStack() as opened:
            self._events = opened.enter_context(contextlib.closing(_event_file(run.tensorboard)))
            self._lines = opened.enter_context(contextlib.closing(Appended(self.path)))
            self._opened = opened.pop_all()
        self._board = RecordWriter(self._events)
        self._show(file_version="brain.Event:2")
        # TensorBoard forgets what the files of earlier processes tell of later steps.
        self._show(step=step + 1, session_log=SessionLog(status=SessionLog.START))
        self._flushed = time.monotonic()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What stopped the run says more than that its last lines could not be written either.
        with contextlib.suppress(*(() if kind is None else (InputError,))), self._opened:
            pass

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Add figures by name, of so many outer steps; a slash groups names in TensorBoard."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._show(step=step, summary=Summary(value=values))
        self._lines.write((json.dumps(rounded({"step": step, **figures})) + "\n").encode())
        if time.monotonic() - self._flushed > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Let a reader see all that was added."""
        self._lines.flush()
        self._events.flush()
        self._flushed = time.monotonic()

    def _show(self, **event: Any) -> None:
        self._board.write(Event(wall_time=time.time(), **event).SerializeToString())


def read_metrics(path: Path, until: int) -> list[dict[str, Any]]:
    """The figures of outer steps and validations up to an outer step; none without a file.

    What is behind the last line's end is the part of a line that is just being written.

    Raises:
        InputError: The file cannot be read, or is damaged.
    """
    return [json.loads(line) for line in _lines_until(path, until)]


def _event_file(folder: Path) -> Appended:
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"{folder} is no folder, as TensorBoard's files need; remove it or train in a new run "
            "directory"
        )
    stamp = f"{time.time_ns() / 1e9:.6f}.{socket.gethostname()}.{os.getpid()}"
    return Appended(folder / f"events.out.tfevents.{stamp}")


def _lines_until(path: Path, step: int) -> list[str]:
    try:
        if not path.exists():
            return []
        # A line that a kill cut short belongs to a step that is done again.
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        return [line for line in whole if json.loads(line)["step"] <= step]
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} has a line that is no metrics ({error}); restore it or train in a new "
            "run directory"
        ) from error
