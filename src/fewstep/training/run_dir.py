"""A run directory: the files of one run, and whether another may go on with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fewstep.errors import InputError
from fewstep.files import cannot_write, write_whole
from fewstep.learners.base import Learner
from fewstep.training import checkpoint, lock
from fewstep.training.checkpoint import Progress
from fewstep.training.described import BY_FIT
from fewstep.training.lock import no_run
from fewstep.training.provenance import versions
from fewstep.training.settings import OuterSettings


class RunDir:
    """The files of one run.

    Attributes:
        config: Everything that decides the result.
        versions: What the run was computed with, when it was last begun.
        metrics: One JSON object a line: an outer step or a validation.
        last: The checkpoint to go on from.
        best: The initialisation that was best in validation.
        summary: The test result with its protocol.
        tensorboard: The same metrics as event files.
        curve: Picture: accuracy or error by inner steps.
        task: Picture: one test task with its predictions.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config, self.versions = path / "config.json", path / "versions.json"
        self.metrics, self.summary = path / "metrics.jsonl", path / "summary.json"
        self.last, self.best = path / "last.safetensors", path / "best.safetensors"
        self.curve, self.task = path / "adaptation.png", path / "task.png"
        self.tensorboard = path / "tensorboard"

    def open(self, settings: OuterSettings) -> None:
        """Claim the directory for a run of these settings, or go on with one.

        Raises:
            InputError: It holds another run, or something that is no run at all.
        """
        try:
            if self.config.exists():
                self._check_same_run(settings)
            elif self.path.exists():
                self._check_empty()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        # The config last: a directory that holds one is a run, with all that is known of it.
        self.write_json(self.versions, versions())
        self.write_json(self.config, settings.recorded)

    def write(self, path: Path, text: str) -> None:
        """Write a text file whole."""
        write_whole(path, lambda part: _write_text(part, text))

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Write a JSON file whole."""
        self.write(path, json.dumps(value, indent=2) + "\n")

    def _check_empty(self) -> None:
        if not self.path.is_dir() or not all(map(self._of_a_beginning, self.path.iterdir())):
            raise no_run(self.path)

    def _of_a_beginning(self, path: Path) -> bool:
        """Whether a kill before the config was written leaves such a file."""
        return path.name in (self.versions.name, lock.NAME) or path.suffix == ".part"

    def _check_same_run(self, settings: OuterSettings) -> None:
        self._check_same_version()
        ours, theirs = settings.recorded, settings.read(self.config)
        for name in settings.decisive:
            here, there = ours.get(name), theirs.get(name)
            if here != there:
                raise InputError(
                    f"{self.path} holds a run with {name} = {there}, not {here}; choose "
                    "another run directory, or the same settings to go on with it"
                )
        done = self._check_checkpoints(settings)
        if done > settings.steps:
            raise InputError(
                f"{self.path} holds a run of {done} outer steps already, and steps is "
                f"{settings.steps}; choose another run directory, or steps of {done} or more"
            )

    def _check_checkpoints(self, settings: OuterSettings) -> int:
        """See that both checkpoints are whole and none is missing; the outer steps done."""
        last = checkpoint.load(self.last)[1] if self.last.exists() else Progress()
        best = checkpoint.load(self.best)[1] if self.best.exists() else Progress()
        for path, progress in ((self.last, last), (self.best, best)):
            checkpoint.check_settings(path, progress, settings.digest)
        # The best one may be newer: it is written before the last one.
        if last.best_score is not None and best.best_score is None:
            raise _missing(self.best, f"{self.last.name}, which tells of one")
        if best.step > settings.checkpoint_every and not last.step:
            raise _missing(self.last, f"{self.best.name} of outer step {best.step}")
        return last.step

    def _check_same_version(self) -> None:
        ours, theirs = versions()["fewstep"], self._saved_version()
        if ours != theirs:
            raise InputError(
                f"{self.path} was made by fewstep {theirs}, and this is {ours}; use a new run "
                "directory, or that version to go on"
            )

    def _saved_version(self) -> str:
        try:
            return str(json.loads(self.versions.read_text(encoding="utf-8"))["fewstep"])
        except (OSError, ValueError, KeyError, TypeError):
            return "of unknown version"


def is_made_by_fit(config: Path) -> bool:
    """Whether a run's config is one of `fewstep.fit`, whose network is the user's."""
    try:
        return bool(json.loads(config.read_text(encoding="utf-8"))["made_by"] == BY_FIT)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def put_best(learner: Learner, run: RunDir, digest: str = "") -> Progress:
    """Put the best initialisation of a run into a learner.

    Args:
        learner: Of the run's network.
        run: The run.
        digest: Of its settings, if they are to be compared.

    Returns:
        The progress of the run when this initialisation was kept.

    Raises:
        InputError: The checkpoint is missing, damaged, or of another network or run.
    """
    values, progress = checkpoint.load(run.best)
    if digest:
        checkpoint.check_settings(run.best, progress, digest)
    checkpoint.restore(dict(learner.named_parameters()), values, run.best)
    return progress


def _missing(path: Path, beside: str) -> InputError:
    return InputError(
        f"{path} is missing beside {beside}; restore it or train in a new run directory"
    )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
