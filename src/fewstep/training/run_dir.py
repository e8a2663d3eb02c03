"""A run directory: the files of one run, and whether another may go on with them."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from fewstep.errors import InputError
from fewstep.evaluation.evaluate import assign
from fewstep.files import cannot_write, write_whole
from fewstep.learners.base import Learner
from fewstep.training import checkpoint, lock
from fewstep.training.checkpoint import Progress
from fewstep.training.provenance import versions
from fewstep.training.settings import OuterSettings

_OTHERS_FOLLOW = ("recipe", "algorithm", "budget")  # these bring defaults of other settings


class RunDir:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"  # everything that decides the result
        self.data = path / "data.json"  # the form of its tasks, and how pictures were prepared
        self.split = path / "split.json"  # the classes or tasks of each split, of own data
        self.contact_sheet = path / "contact_sheet.png"  # some of its pictures, as they are learned
        self.versions = path / "versions.json"  # what it was computed with, when last begun
        self.metrics = path / "metrics.jsonl"  # an outer step or a validation a line
        self.tensorboard = path / "tensorboard"  # the same metrics as event files
        self.last = path / "last.safetensors"  # the checkpoint to go on from
        self.best = path / "best.safetensors"  # the initialisation that was best in validation
        self.top = path / "top"  # the best initialisations, of which the average is tested as well
        self.summary = path / "summary.json"  # the test result with its protocol
        self.rivals = path / "rivals"  # networks that a run of a table is compared with
        self.calibration = path / "calibration.json"  # temperature and threshold of predictions
        self.interval = path / "interval.json"  # half widths of a prediction's interval, by rows
        self.comparison = path / "comparison.json"  # what fewstep compare found of it, by rows
        self.curve = path / "adaptation.png"  # accuracy or error by inner steps
        self.task = path / "task.png"  # one test task with its predictions
        self.reliability = path / "reliability.png"  # how often predictions are right, how sure

    def open(self, settings: OuterSettings) -> None:
        """Claim the directory for a run of these settings, or go on with one."""
        try:
            if self.config.exists():
                self.check_settings(settings.recorded, settings.decisive, settings.read)
                self._check_steps(settings)
            elif self.path.exists() and not self._is_empty():
                raise lock.no_run(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        # The config last: a directory that holds one is a run, with all that is known of it.
        self.write_json(self.versions, versions())
        self.write_json(self.config, settings.recorded)

    def write(self, path: Path, text: str) -> None:
        """Write a text file whole."""
        content = text.encode()
        write_whole(path, lambda part: part.write_bytes(content))

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Write a JSON file whole."""
        self.write(path, json.dumps(value, indent=2) + "\n")

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error

    def load_best(self, learner: Learner, digest: str = "") -> Progress:
        """Put the best initialisation into a learner; the progress of the run when it was kept.

        With a digest of settings, it has to be of a run of these.
        """
        values, progress = checkpoint.load(self.best)
        if digest:
            _check_settings(self.best, progress, digest)
        parameters = dict(learner.named_parameters())
        checkpoint.check_complete(values, parameters, self.best)
        assign(parameters, values)
        return progress

    def _is_empty(self) -> bool:
        """Whether nothing is there but a search, or what a kill before the config leaves."""
        begun = (self.versions.name, lock.NAME, "search")
        return self.path.is_dir() and all(
            path.name in begun or path.suffix == ".part" for path in self.path.iterdir()
        )

    def check_settings(
        self,
        given: Mapping[str, Any],
        decisive: Collection[str],
        read: Callable[[Path], dict[str, Any]],
    ) -> None:
        """See that the run that is there is of this version and of these settings.

        Args:
            given: All settings as JSON values.
            decisive: Names of those that may not differ.
            read: Of a ``config.json``.

        Raises:
            InputError: Another run is there.
        """
        ours, theirs = versions()["fewstep"], self._saved_version()
        if ours != theirs:
            raise InputError(
                f"{self.path} was made by fewstep {theirs}, and this is {ours}; use a new run "
                "directory, or that version to go on"
            )
        recorded = read(self.config)
        other = [name for name in decisive if given.get(name) != recorded.get(name)]
        # Who asks for another budget did not ask for what comes with it.
        first = [name for name in _OTHERS_FOLLOW if recorded.get(name) is not None]
        for name in [*first, *other] if other else ():
            here, there = given.get(name), recorded.get(name)
            if here != there:
                raise InputError(
                    f"{self.path} holds a run with {name} = {there}, not {here}; choose "
                    "another run directory, or the same settings to go on with it"
                )

    def _check_steps(self, settings: OuterSettings) -> None:
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
        _check_settings(self.last, last, settings.digest)
        _check_settings(self.best, best, settings.digest)
        # The best one may be newer: it is written before the last one.
        if last.best_score is not None and best.best_score is None:
            raise _missing(self.best, f"{self.last.name}, which tells of one")
        if best.step > settings.checkpoint_every and not last.step:
            raise _missing(self.last, f"{self.best.name} of outer step {best.step}")
        return last.step

    def _saved_version(self) -> str:
        try:
            return str(json.loads(self.versions.read_text(encoding="utf-8"))["fewstep"])
        except (OSError, ValueError, KeyError, TypeError):
            return "of unknown version"


def _check_settings(path: Path, progress: Progress, digest: str) -> None:
    """See that a checkpoint is of a run of these settings, as far as it tells."""
    if progress.settings not in ("", digest):
        raise InputError(
            f"{path} is of a run of other settings than config.json beside it; restore it or train "
            "in a new run directory"
        )


def _missing(path: Path, beside: str) -> InputError:
    return InputError(
        f"{path} is missing beside {beside}; restore it or train in a new run directory"
    )
