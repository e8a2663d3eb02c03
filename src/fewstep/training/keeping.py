"""Where a training is kept: in a run directory, or nowhere but in memory."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from fewstep.distributed.ranks import ranks
from fewstep.evaluation.evaluate import assign
from fewstep.functional.swapped import Params
from fewstep.learners.base import Learner
from fewstep.training import checkpoint, top
from fewstep.training.checkpoint import Progress
from fewstep.training.lock import locked
from fewstep.training.metrics_log import MetricsLog, read_metrics
from fewstep.training.reporter import Figures
from fewstep.training.run_dir import RunDir
from fewstep.training.settings import OuterSettings
from fewstep.training.state import State


class Keeper:
    """Keeps figures and checkpoints of a training; without a run directory nothing is written.

    Args:
        run: The run directory.
        by_first: Whether the first rank has one, and this is another: nothing is written here.
    """

    def __init__(self, run: RunDir | None, by_first: bool = False) -> None:
        self.run, self._by_first = run, by_first
        self._log: MetricsLog | None = None
        self._best: Params = {}
        self._history: list[dict[str, Any]] = []

    def load_last(self, state: State) -> None:
        """Go on from the last checkpoint of the first rank, if there is one."""
        saved = ranks().from_first(self._saved)
        if saved is not None:
            path, last, best = saved
            state.put(path, *last)
            self._best = best

    def _saved(self) -> tuple[Path, tuple[Params, Progress], Params] | None:
        run = self.run
        if run is None or not run.last.exists():
            return None
        best = checkpoint.load(run.best)[0] if ranks().size > 1 and run.best.exists() else {}
        return run.last, checkpoint.load(run.last), best

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

    def keep_best(self, state: State) -> None:
        """Keep the best initialisation so far."""
        if self.run is None or self._log is None:
            self._best = {name: value.clone() for name, value in state.initialisation.items()}
        else:
            # First, because it notices where the run directory is gone.
            self._log.flush()
            checkpoint.save(self.run.best, state.initialisation, state.progress)

    def keep_top(self, state: State) -> None:
        """Keep an initialisation that is among the best so far."""
        if self.run is not None and self._log is not None:
            top.save(self.run.top, state.initialisation, state.progress)

    def keep_last(self, state: State) -> bool:
        """Keep all that going on needs; whether there is a checkpoint of it now."""
        if self.run is None or self._log is None:
            return self._by_first
        self._log.flush()
        state.save(self.run.last)
        top.tidy(self.run.top, state.progress.top)
        return True

    def restore_best(self, learner: Learner) -> None:
        """Put the best initialisation into a learner, if one was kept."""
        if self.run is not None and self.run.best.exists():
            self.run.load_best(learner)
        elif self._best:
            assign(dict(learner.named_parameters()), self._best)


@contextmanager
def kept_in(path: Path | None, settings: OuterSettings) -> Iterator[Keeper]:
    """A keeper in a run directory, locked until what is inside has ended; without one in memory."""
    if path is None or not ranks().is_first:
        yield Keeper(None, by_first=path is not None)
        return
    with locked(path):
        run = RunDir(path)
        run.open(settings)
        yield Keeper(run)
