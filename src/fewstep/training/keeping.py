"""Where a training is kept: nowhere but in memory, or in a run directory."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

from fewstep.learners.base import Learner
from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress
from fewstep.training.metrics_log import MetricsLog, read_metrics
from fewstep.training.reporter import Figures
from fewstep.training.run_dir import RunDir, put_best
from fewstep.training.state import State


class InMemory:
    """Keeps the best initialisation, and writes nothing."""

    def __init__(self) -> None:
        self._best: dict[str, Tensor] = {}
        self._history: list[dict[str, Any]] = []

    def load_last(self, state: State) -> None:
        """Go on from what was kept, if anything was."""

    def open(self, step: int) -> contextlib.AbstractContextManager[object]:  # noqa: ARG002
        """Begin to keep figures after so many outer steps."""
        return contextlib.nullcontext()

    def note(self, step: int) -> str:  # noqa: ARG002
        """A line where the figures of so many steps done are not whole; else nothing."""
        return ""

    def add(self, step: int, figures: Figures) -> None:
        """Keep the figures of an outer step or a validation."""
        self._history.append({"step": step, **figures})

    def history(self, step: int) -> list[dict[str, Any]]:  # noqa: ARG002
        """All figures of so many outer steps."""
        return self._history

    def keep_best(self, values: dict[str, Tensor], progress: Progress) -> None:  # noqa: ARG002
        """Keep the best initialisation so far."""
        self._best = {name: value.detach().clone() for name, value in values.items()}

    def restore_best(self, learner: Learner) -> None:
        """Put the best initialisation into a learner, if one was kept."""
        with torch.no_grad():
            for name, parameter in learner.named_parameters() if self._best else ():
                parameter.copy_(self._best[name])

    def keep_last(self, state: State) -> bool:  # noqa: ARG002
        """Keep everything that going on needs; whether there is a checkpoint of it."""
        return False


class OnDisk(InMemory):
    """Keeps everything in a run directory."""

    def __init__(self, run: RunDir) -> None:
        self.run = run

    def load_last(self, state: State) -> None:
        """Go on from the last checkpoint, if there is one."""
        if self.run.last.exists():
            state.load(self.run.last)

    def open(self, step: int) -> contextlib.AbstractContextManager[object]:
        """Begin to write figures."""
        self.log = MetricsLog(self.run, step)
        return self.log

    def note(self, step: int) -> str:
        """A line where the file of figures lacks some."""
        if not self.log.missing:
            return ""
        return (
            f"{self.log.path} lacks {self.log.missing:,} of the {step:,} outer steps done; the "
            "weights are whole, so training goes on"
        )

    def add(self, step: int, figures: Figures) -> None:
        """Write figures."""
        self.log.add(step, figures)

    def history(self, step: int) -> list[dict[str, Any]]:
        """Those in the file."""
        return read_metrics(self.run.metrics, step)

    def keep_best(self, values: dict[str, Tensor], progress: Progress) -> None:
        """Write the best checkpoint."""
        # First, because it notices where the run directory is gone.
        self.log.flush()
        checkpoint.save(self.run.best, values, progress)

    def restore_best(self, learner: Learner) -> None:
        """Read the best checkpoint, if there is one."""
        if self.run.best.exists():
            put_best(learner, self.run)

    def keep_last(self, state: State) -> bool:
        """Write the last checkpoint."""
        self.log.flush()
        state.save(self.run.last)
        return True
