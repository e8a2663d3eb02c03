"""Metrics of a run: JSON lines and TensorBoard, the same figures in both."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from fewstep.errors import InputError
from fewstep.files import cannot_write, rounded
from fewstep.training.appended import Appended
from fewstep.training.events import Events
from fewstep.training.run_dir import RunDir

SECONDS = 10.0
"""How long a reader waits for new lines at most, where outer steps are short."""


class MetricsLog:
    """Writes the figures of outer steps and validations.

    Args:
        run: Where.
        step: Outer steps done. What an interrupted run wrote beyond it is cut off, because those
            steps are done again.

    Attributes:
        missing: How many of the outer steps done the file does not tell of.

    Raises:
        InputError: The files cannot be written.
    """

    def __init__(self, run: RunDir, step: int) -> None:
        self.path = run.metrics
        kept = _lines_until(self.path, step)
        run.write(self.path, "".join(kept))
        told = [json.loads(line) for line in kept]
        # Each once: a line may stand there twice, as in a copy that was put together.
        self.missing = step - len({line["step"] for line in told if "train/loss" in line})
        with contextlib.ExitStack() as opened:
            self.board = opened.enter_context(contextlib.closing(Events(run.tensorboard, step)))
            self.file = opened.enter_context(contextlib.closing(Appended(self.path)))
            self._opened = opened.pop_all()
        self.flushed = time.monotonic()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What stopped the run says more than that its last lines could not be written either.
        untold = (InputError,) if error is not None else ()
        with contextlib.suppress(*untold), self._opened:
            pass

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Add the figures of one outer step or one validation.

        Args:
            step: Outer steps done.
            figures: By name; a slash groups names in TensorBoard.

        Raises:
            InputError: They cannot be written.
        """
        self.board.add(step, figures)
        self.file.write((json.dumps(rounded({"step": step, **figures})) + "\n").encode())
        if time.monotonic() - self.flushed > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Let a reader see all that was added.

        Raises:
            InputError: It cannot be written.
        """
        self.file.flush()
        self.board.flush()
        self.flushed = time.monotonic()


def read_metrics(path: Path, until: int) -> list[dict[str, Any]]:
    """The figures of outer steps and validations up to an outer step; none where they are damaged.

    What is behind the last line's end is the part of a line that is just being written.
    """
    try:
        return [json.loads(line) for line in _lines_until(path, until)]
    except InputError:
        return []


def _lines_until(path: Path, step: int) -> list[str]:
    try:
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from error
    # A line that a kill cut short belongs to a step that is done again.
    whole = [line for line in lines if line.endswith("\n")]
    try:
        return [line for line in whole if json.loads(line)["step"] <= step]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} has a line that is no metrics ({error}); restore it or train in a new "
        "run directory"
    )
