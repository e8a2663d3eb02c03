"""Metrics of a run: JSON lines and TensorBoard, the same figures in both."""

from __future__ import annotations

import contextlib
import json
import math
import time
from types import TracebackType

from fewstep.errors import InputError
from fewstep.files import cannot_write
from fewstep.training.appended import Appended
from fewstep.training.events import Events
from fewstep.training.run_dir import RunDir

SECONDS = 10.0
"""How long a reader waits for new lines at most, where outer steps are short."""


class Metrics:
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
        kept = self._lines_until(step)
        run.write(self.path, "".join(kept))
        told = [json.loads(line) for line in kept]
        # Each once: a line may stand there twice, as in a copy that was put together.
        self.missing = step - len({line["step"] for line in told if "train/loss" in line})
        with contextlib.ExitStack() as opened:
            self.board = opened.enter_context(contextlib.closing(Events(run.tensorboard, step)))
            self.file = opened.enter_context(contextlib.closing(Appended(self.path)))
            self._opened = opened.pop_all()
        self.flushed = time.monotonic()

    def __enter__(self) -> Metrics:
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
        # JSON knows no NaN.
        told = {n: value if math.isfinite(value) else None for n, value in figures.items()}
        self.file.write((json.dumps({"step": step, **told}) + "\n").encode())
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

    def _lines_until(self, step: int) -> list[str]:
        try:
            if not self.path.exists():
                return []
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        except UnicodeDecodeError as error:
            raise self._damaged(error) from error
        # A line that a kill cut short belongs to a step that is done again.
        whole = [line for line in lines if line.endswith("\n")]
        try:
            return [line for line in whole if json.loads(line)["step"] <= step]
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError(
            f"{self.path} has a line that is no metrics ({error}); restore it or train in a new "
            "run directory"
        )
