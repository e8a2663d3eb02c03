"""Metrics of a run: JSON lines and TensorBoard, the same figures in both."""

from __future__ import annotations

import contextlib
import json
import math
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from fewstep.errors import InputError
from fewstep.files import cannot_write
from fewstep.training.run_dir import RunDir


class Metrics:
    """Writes the figures of outer steps and validations.

    Args:
        run: Where.
        step: Outer steps done. What an interrupted run wrote beyond it is cut off, because those
            steps are done again.

    Raises:
        InputError: The files cannot be written.
    """

    def __init__(self, run: RunDir, step: int) -> None:
        self.path = run.metrics
        try:
            kept = self._lines_until(step)
            run.write(self.path, "".join(kept))
            self.file = self.path.open("a", encoding="utf-8")
            self.board = SummaryWriter(run.tensorboard, purge_step=step + 1)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def __enter__(self) -> Metrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self.file, contextlib.closing(self.board):
                pass
        except OSError as failure:
            # What stopped the run says more than that its last lines could not be written either.
            if error is None:
                raise cannot_write(self.path, failure) from failure

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Write the figures of one outer step or one validation.

        Args:
            step: Outer steps done.
            figures: By name; a slash groups names in TensorBoard.

        Raises:
            InputError: No disk space.
        """
        try:
            for name, value in figures.items():
                self.board.add_scalar(name, value, step)
            # JSON knows no NaN.
            told = {n: value if math.isfinite(value) else None for n, value in figures.items()}
            self.file.write(json.dumps({"step": step, **told}) + "\n")
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def flush(self) -> None:
        """Let a reader see all that was added.

        Raises:
            InputError: No disk space.
        """
        try:
            self.file.flush()
            self.board.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def _lines_until(self, step: int) -> list[str]:
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        # A line that a kill cut short belongs to a step that is done again.
        whole = [line for line in lines if line.endswith("\n")]
        try:
            return [line for line in whole if json.loads(line)["step"] <= step]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path} has a line that is no metrics ({error}); restore it or train in a "
                "new run directory"
            ) from error
