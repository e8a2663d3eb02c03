"""The measurements of a report."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial

from fewstep.choices import Norm
from fewstep.config.algorithms import ALGORITHMS, steps_in_words
from fewstep.data.preparation import Preparation
from fewstep.data.source import TaskSource
from fewstep.data.tables.tasks import TableTasks
from fewstep.errors import InputError
from fewstep.evaluation.by_task import ByTask, evaluate_by_task
from fewstep.evaluation.calibrated import Calibration, calibrated_as
from fewstep.evaluation.evaluate import Result, evaluate_tasks, means
from fewstep.learners.base import Evaluation, Learner
from fewstep.report.page.measured import Measured, Reported, SideBySide
from fewstep.report.page.run_files import RunFiles
from fewstep.report.page.task_curves import TaskCurves, is_a_curve, task_curves
from fewstep.report.page.task_pictures import TaskPictures, task_pictures
from fewstep.training.calibrate import choose_on_validation
from fewstep.training.runs import Run, load_run
from fewstep.training.side_by_side import (
    check_comparable,
    steps_for_all,
    untrained,
    ways_to_adapt,
)

_LOG = logging.getLogger("fewstep")
BEST, WORST = 2, 3
"""Tasks that are drawn."""
LEAST_STEPS = 5
"""Inner steps of the curves at least, where so many can be taken."""
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows what is computed on so many tasks, and is told how many were done since the last call."""


def no_bar(*_: object) -> AbstractContextManager[Callable[[int], None]]:
    """Shows nothing."""
    return nullcontext(lambda _: None)


@dataclass
class Measuring:
    """Measures runs one after another, and then side by side.

    Attributes:
        tasks: Test tasks of each.
        data_dir: The folder of the data, if one is known.
        moved: The new place of a run's own data, if it is given.
        device: Where to compute.
        bar: Shows progress.
    """

    tasks: int
    data_dir: str | None
    moved: str | None
    device: str
    bar: Bar = no_bar
    _loaded: dict[str, Run] = field(default_factory=dict)
    _known: list[tuple[Learner, Evaluation]] = field(default_factory=list)

    def reported(self, files: RunFiles) -> Reported:
        """The run as it is told; without measurements, with the reason, where it has none."""
        if files.config is None:
            return Reported(files, "its network is your own, so it is evaluated in Python alone")
        try:
            run = load_run(files.path, self.data_dir, self.device, moved=self.moved)
            measured = self._measured(files, run)
        except (InputError, OSError) as error:
            _LOG.info("%s is not evaluated: %s", files.name, error)
            return Reported(files, str(error))
        self._loaded[files.name] = run
        return Reported(files, measured)

    def groups(self) -> list[SideBySide]:
        """The runs that were measured, those of the same tasks together, with a random start."""
        groups: list[dict[str, Run]] = []
        for name, run in self._loaded.items():
            for group in groups:
                with suppress(InputError):
                    check_comparable({**group, name: run})
                    group[name] = run
                    break
            else:
                groups.append({name: run})
        return [self._side_by_side(group) for group in groups]

    def _measured(self, files: RunFiles, run: Run) -> Measured:
        config, source = run.config, run.tasks["test"]
        norm, steps = config.norm, config.test_inner_steps
        with self.bar(f"{files.name}: {self.tasks} test tasks", self.tasks) as advance:
            found = evaluate_by_task(run.learner, source, self.tasks, steps, norm, advance)
        self._known.append((run.learner, found.evaluation))
        result = self._means(run, means(found.evaluation))
        # Chosen again only where no final test has.
        told = files.results.get(norm)
        chosen = told.calibration if told else None
        if chosen is None and config.kind == "classification":
            with suppress(InputError):
                chosen = choose_on_validation(run, self.tasks, steps, norm)[norm]
        result = replace(result, calibration=_at(found, chosen))
        larger = source.spec.larger_is_better
        best, worst = found.extremes(max(BEST, WORST), larger_is_better=larger)
        drawn = partial(_drawn, run, source, found, class_names(source))
        return Measured(
            config,
            norm,
            result,
            found,
            class_names(source),
            drawn(best[:BEST]),
            drawn(worst[:WORST]),
            larger,
            run.note,
        )

    def _side_by_side(self, group: dict[str, Run]) -> SideBySide:
        first = next(iter(group.values()))
        starts = ways_to_adapt(group)
        steps = common_steps(list(group.values()))
        # Solved in closed form there is no step that another start could take.
        if not all(ALGORITHMS[run.config.algorithm].closed_form for run in group.values()):
            starts["random"] = untrained(first)
        norm: Norm = first.config.norm
        found = {}
        for name, run in starts.items():
            evaluation = self._evaluation(name, run, steps, norm)
            found[name] = {norm: self._means(run, means(evaluation))}
        return SideBySide(list(group), first.config, found)

    def _evaluation(self, name: str, run: Run, steps: int, norm: Norm) -> Evaluation:
        """The evaluation of a starting point; of a run that has no more steps it is known."""
        for learner, known in self._known:
            same = learner is run.learner and run.config.norm == norm
            if same and known.losses.shape[1] == 1 + steps:
                return known
        told = f"{name}: {steps_in_words(None, steps)} on {self.tasks} test tasks"
        with self.bar(told, self.tasks) as advance:
            return evaluate_tasks(run.learner, run.tasks["test"], self.tasks, steps, norm, advance)

    def _means(self, run: Run, result: Result) -> Result:
        return replace(result, draws=self.tasks if run.config.table else None)


def common_steps(runs: Sequence[Run]) -> int:
    """The inner steps that all runs can take, at least those of their tests and `LEAST_STEPS`."""
    wanted = max(run.config.test_inner_steps for run in runs)
    if not all(ALGORITHMS[run.config.algorithm].closed_form for run in runs):
        wanted = max(wanted, LEAST_STEPS)
    return steps_for_all(runs, wanted)


def class_names(source: TaskSource) -> Sequence[str]:
    """The names of the classes of a data set, by number; empty where they have none."""
    if isinstance(source, TableTasks):
        return [str(name) for name in source.how.classes or ()]
    images = getattr(source, "images", None)
    return () if images is None else images.names


def _at(found: ByTask, chosen: Calibration | None) -> Calibration | None:
    predictions = found.evaluation.predictions
    return calibrated_as(predictions, chosen)


def _drawn(
    run: Run, source: TaskSource, found: ByTask, names: Sequence[str], numbers: Sequence[int]
) -> list[TaskPictures] | list[TaskCurves]:
    """Tasks as pictures or curves; none where they are neither, as those of a table."""
    config = run.config
    if is_a_curve(source.spec) and found.names is None:
        told = run.learner, config.test_inner_steps, config.norm
        return [task_curves(number, source.batch([number]), *told) for number in numbers]
    if config.data_set.examples != "pictures" or not names:
        return []
    how = source.preparation
    ink = not isinstance(how, Preparation) or how.ink
    return [
        task_pictures(number, source.batch([number]), found.answers[number], names, ink=ink)
        for number in numbers
    ]
