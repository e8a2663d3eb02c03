"""Measurements for a report: the tasks of a run, and runs beside other starting points."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fewstep.choices import Norm
from fewstep.config.schema import Config
from fewstep.evaluation.by_task import ByTask
from fewstep.evaluation.evaluate import Result, Results
from fewstep.report.page.run_files import RunFiles
from fewstep.report.page.task_curves import TaskCurves
from fewstep.report.page.task_pictures import TaskPictures


@dataclass(frozen=True)
class Measured:
    """A run on its test tasks, after the inner steps of its own test.

    Attributes:
        config: Of the run.
        norm: Statistics of batch norm that were used.
        result: Means over tasks, with the calibration where classes are predicted.
        tasks: Each task by itself.
        classes: Names of the classes of the data set, by number; empty where they have none.
        best: The best tasks as pictures or curves.
        worst: The worst ones.
        larger_is_better: Of the score.
        note: How its data are others than it was trained on; "" where they are not.
    """

    config: Config
    norm: Norm
    result: Result
    tasks: ByTask
    classes: Sequence[str] = ()
    best: Sequence[TaskPictures | TaskCurves] = ()
    worst: Sequence[TaskPictures | TaskCurves] = ()
    larger_is_better: bool = True
    note: str = ""

    @property
    def results(self) -> Results:
        """The result by its norm."""
        return {self.norm: self.result}


@dataclass(frozen=True)
class SideBySide:
    """Starting points on the same test tasks, after 0, 1, ... inner steps.

    Attributes:
        runs: Names of the runs among them.
        config: Of the first run.
        starts: Results by name of the starting point.
    """

    runs: list[str]
    config: Config
    starts: dict[str, Results]


@dataclass(frozen=True)
class Reported:
    """A run of the report.

    Attributes:
        files: Its directory.
        measured: What was measured of it now, or a sentence that says why nothing was.
    """

    files: RunFiles
    measured: Measured | str


@dataclass(frozen=True)
class Report:
    """All that a page tells.

    Attributes:
        runs: In the order of the command line; one at least.
        groups: Those of the same tasks side by side.
        command: That made the report.
    """

    runs: list[Reported]
    groups: list[SideBySide] = field(default_factory=list)
    command: str = ""
