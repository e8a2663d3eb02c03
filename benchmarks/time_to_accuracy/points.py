"""Initialisations that are kept while a training goes on, and how far it is."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress
from fewstep.training.keeping import Keeper
from fewstep.training.reporter import Reporter
from fewstep.training.run_dir import RunDir
from fewstep.training.state import State

MARKS = (1 / 64, 1 / 32, *(k / 16 for k in range(1, 17)))
"""Shares of the time at which a point is evaluated: most change is early."""
QUARTERS = (0.25, 0.5, 0.75, 1.0)
"""Of them, those that are evaluated inductively too."""


@dataclass(frozen=True)
class Point:
    """An initialisation after some outer steps and seconds of training."""

    path: Path
    step: int
    seconds: float


def points_of(run: Path) -> Path:
    """The folder of the points of a run."""
    return run.with_name(f"{run.name}-points")


def keep(run: Path, step: int, source: Path) -> None:
    """Keep a checkpoint as a point."""
    folder = points_of(run)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "point.part"
    shutil.copy(source, part)
    part.replace(folder / f"{step:07}.safetensors")


def read(run: Path) -> list[Point]:
    """All points of a run, in order."""
    found = []
    for path in sorted(points_of(run).glob("*.safetensors")):
        progress = checkpoint.load(path)[1]
        found.append(Point(path, progress.step, progress.seconds))
    return found


def chosen(points: Sequence[Point], marks: Sequence[float]) -> list[Point]:
    """The points next to some shares of the time that the last one took."""
    near = {
        min(points, key=lambda point: abs(point.seconds - mark * points[-1].seconds))
        for mark in marks
        if points
    }
    return sorted(near, key=lambda point: point.step)


def progress_of(run: Path) -> Progress:
    """How far a run is."""
    last = RunDir(run).last
    return checkpoint.load(last)[1] if last.exists() else Progress()


class PointKeeper(Keeper):
    """A keeper in a run directory whose every checkpoint is kept."""

    def keep_best(self, state: State) -> None:
        """Keep the initialisation, which without validation is the last one each time."""
        super().keep_best(state)
        if self.run is not None:
            keep(self.run.path, state.progress.step, self.run.best)


class Until(Reporter):
    """Stops a training, as Ctrl-C does, after some seconds of this process."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def advance(self) -> None:
        """Ask for the end, once."""
        if time.monotonic() > self._end:
            self._end = float("inf")
            signal.raise_signal(signal.SIGINT)
