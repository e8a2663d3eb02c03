"""The files of a run directory as a report takes them: whatever is there and can be read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewstep.config.file import read_config
from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.evaluation.evaluate import Results
from fewstep.files import read_json_object
from fewstep.report.summary import results_of
from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress
from fewstep.training.described import is_made_by_fit, read_fit_config
from fewstep.training.metrics_log import read_metrics
from fewstep.training.run_dir import RunDir

_ALL = 2**63  # outer steps: figures behind the last checkpoint are of the run as well


@dataclass(frozen=True)
class RunFiles:
    """A run as its directory tells it.

    Attributes:
        name: For people; of its own on the page.
        path: The run directory.
        config: Its settings; None of a run of `fewstep.fit`, whose network is the user's.
        settings: The same as JSON values.
        progress: Of the latest checkpoint; None where there is none.
        metrics: Figures of outer steps and validations.
        summary: The final test, ``summary.json``; None where it has not come to that.
        results: Its figures by norm; empty without a summary.
        versions: By which it was trained.
        split: Names of the classes or of a table's tasks by split; empty for data without names.
        comparison: Models by the rows of a new task, or None.
        interval: Of a table's predictions, or None.
        notes: What could not be read, a sentence each.
    """

    name: str
    path: Path
    config: Config | None
    settings: dict[str, Any]
    progress: Progress | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] | None = None
    results: Results = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    split: dict[str, Any] = field(default_factory=dict)
    comparison: dict[str, Any] | None = None
    interval: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Outer steps done, as far as anything tells."""
        logged = self.metrics[-1]["step"] if self.metrics else 0
        return max(logged, self.progress.step if self.progress else 0)

    @property
    def planned(self) -> int | None:
        """Outer steps of the whole training."""
        steps = self.settings.get("steps")
        return steps if isinstance(steps, int) else None

    @property
    def score(self) -> str:
        """Name of the metric of validation."""
        return self.config.score if self.config else "score"

    @property
    def algorithm(self) -> str:
        """Name of the algorithm; of a run of `fewstep.fit` that of its learner."""
        if self.config:
            return self.config.algorithm
        return str(self.settings.get("learner", "a learner of your own")).rpartition(":")[2]


def read_run(path: Path, name: str) -> RunFiles:
    """Read a run directory.

    Raises:
        InputError: It is none, or its config cannot be read.
    """
    files = RunDir(path)
    of_fit = is_made_by_fit(files.config)
    config = None if of_fit else read_config(files.config)
    settings = read_fit_config(files.config) if of_fit else read_json_object(files.config, "")
    notes: list[str] = []

    def read(file: Path) -> dict[str, Any] | None:
        try:
            return read_json_object(file, "the report does without it")
        except FileNotFoundError:
            return None
        except (InputError, OSError) as error:
            notes.append(str(error))
            return None

    summary, results = read(files.summary), {}
    if summary is not None:
        try:
            results = results_of(summary)
            _ = next(iter(results.values())).score.mean[-1]
        except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
            notes.append(f"{files.summary} is damaged or of another version; left out")
            summary, results = None, {}
    found = []
    for file in (files.last, files.best):
        try:
            found += [checkpoint.load(file)[1]] if file.exists() else []
        except InputError as error:
            notes.append(str(error))
    # A kill may leave a best one that is later than the last one.
    progress = max(found, key=lambda one: one.step, default=None)
    metrics: list[dict[str, Any]] = []
    try:
        metrics = read_metrics(files.metrics, _ALL)
    except InputError as error:
        notes.append(f"the curves are left out: {error}")
    return RunFiles(
        name,
        path,
        config,
        settings,
        progress,
        metrics,
        summary,
        results,
        read(files.versions) or {},
        read(files.split) or {},
        read(files.comparison),
        read(files.interval),
        tuple(notes),
    )
