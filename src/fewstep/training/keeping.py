"""Where a training is kept: in a run directory, or nowhere but in memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
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


class Keeper:
    """Keeps figures and checkpoints of a training; without a run directory nothing is written."""

    def __init__(self, run: RunDir | None) -> None:
        self.run = run
        self._log: MetricsLog | None = None
        self._best: dict[str, Tensor] = {}
        self._history: list[dict[str, Any]] = []

    def load_last(self, state: State) -> None:
        """Go on from the last checkpoint, if there is one."""
        if self.run is not None and self.run.last.exists():
            state.load(self.run.last)

    def open(self, step: int) -> AbstractContextManager[MetricsLog | None]:
        """Begin to keep figures after so many outer steps."""
        if self.run is None:
            return nullcontext()
        self._log = MetricsLog(self.run, step)
        return self._log

    def add(self, step: int, figures: Figures) -> None:
        """Keep the figures of an outer step or a validation."""
        if self._log is None:
            self._history.append({"step": step, **figures})
        else:
            self._log.add(step, figures)

    def history(self, step: int) -> list[dict[str, Any]]:
        """All figures of so many outer steps."""
        return self._history if self.run is None else read_metrics(self.run.metrics, step)

    def keep_best(self, values: dict[str, Tensor], progress: Progress) -> None:
        """Keep the best initialisation so far."""
        if self.run is None or self._log is None:
            self._best = {name: value.detach().clone() for name, value in values.items()}
        else:
            # First, because it notices where the run directory is gone.
            self._log.flush()
            checkpoint.save(self.run.best, values, progress)

    def restore_best(self, learner: Learner) -> None:
        """Put the best initialisation into a learner, if one was kept."""
        if self.run is not None and self.run.best.exists():
            put_best(learner, self.run)
        with torch.no_grad():
            for name, parameter in learner.named_parameters() if self._best else ():
                parameter.copy_(self._best[name])

    def keep_last(self, state: State) -> bool:
        """Keep all that going on needs; whether there is a checkpoint of it now."""
        if self.run is None or self._log is None:
            return False
        self._log.flush()
        state.save(self.run.last)
        return True
