"""A run of the command line: trained in its directory, or read back from there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fewstep.choices import Split
from fewstep.config.file import (
    decisive,
    read_config,
    remembered_folder,
    remembered_pictures,
    remembered_table,
    training_digest,
)
from fewstep.config.schema import Config, with_sizes
from fewstep.data.on_demand import last_not_refused
from fewstep.data.registry import task_sources
from fewstep.data.source import KeptSplit, TaskSource
from fewstep.distributed.ranks import joined, ranks
from fewstep.distributed.shared import part_of
from fewstep.errors import InputError
from fewstep.evaluation.evaluate import device_of
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.learners.build import learner_for
from fewstep.learners.schedules import cosine
from fewstep.training import checkpoint
from fewstep.training.build import workers_for
from fewstep.training.calibration_file import read_calibration
from fewstep.training.checkpoint import Progress
from fewstep.training.interval_file import read_coverage, read_half_widths
from fewstep.training.keeping import kept_in
from fewstep.training.loop import OuterLoop
from fewstep.training.optimizer import optimizer_of
from fewstep.training.provenance import Provenance, fingerprint, provenance
from fewstep.training.reporter import Reporter
from fewstep.training.run_dir import RunDir
from fewstep.training.settings import SHARED, OuterSettings
from fewstep.training.split_file import kept_split, split_as_json
from fewstep.training.state import start_alike
from fewstep.training.streams import stream_of
from fewstep.training.task_form import TaskForm, form_as_json, form_of, form_of_run, read_form
from fewstep.training.top import TOP

Tasks = Mapping[Split, TaskSource]


@dataclass(frozen=True)
class Run:
    """A learner as it was best in validation, and the tasks of each split."""

    config: Config
    learner: Learner  # for the classes of test tasks
    as_trained: Learner  # for those of training tasks, where it is another
    tasks: Tasks
    progress: Progress  # when this initialisation was kept
    trained: Progress  # when the run was last saved
    note: str = ""  # how its tasks are others than it was trained on
    workers: int = 1  # processes that its evaluation pays for


@contextmanager
def trained(
    config: Config,
    path: Path,
    reporter: Reporter,
    begin: Callable[[RunDir, Tasks], object] = lambda *_: None,
    split: KeptSplit | None = None,
) -> Iterator[Run]:
    """Train, from the run's last checkpoint where there is one, and give the best initialisation.

    The run directory is made where it is missing, and locked until what is inside has ended.
    ``begin`` is called before the first outer step, when it is there. A new run takes ``split``, or
    draws its own.
    """
    # All of them are needed.
    tasks = dict(task_sources(config, kept_split(config, RunDir(path)) or split))
    new = learner_for(config, tasks["train"].spec)
    settings, files = outer_settings(config, tasks["val"]), RunDir(path)
    with (
        joined(workers_for(config, new, tasks["train"])) as here,
        kept_in(path, settings) as keeper,
    ):
        if here.is_first:
            _begin(config, files, tasks)
            begin(files, tasks)
        part = part_of(here, new)
        OuterLoop(
            settings=settings,
            learner=new,
            optimizer=optimizer_of(config.optimizer, new, config.outer_lr),
            train=stream_of(tasks["train"], config.meta_batch, config.seed, device_of(new), part),
            validation=tasks["val"],
            keeper=keeper,
            reporter=reporter if here.is_first else Reporter(),
            conditions=provenance(new, tasks) | _of_rounding(config),
        ).run()
        yield _with_best(config, new, tasks, files)


def _begin(config: Config, files: RunDir, tasks: Tasks) -> None:
    """Write what is known before training, and remove what holds no more."""
    files.write_json(files.data, form_as_json(form_of(tasks["train"])))
    if config.data_set.keeps_split:
        files.write_json(files.split, split_as_json(tasks))
    # They are of the initialisation that was best until now; the test makes the first two anew.
    goes_on = not (files.last.exists() and is_finished(checkpoint.load(files.last)[1], config))
    for path in (files.calibration, files.interval, *([files.comparison] if goes_on else [])):
        files.remove(path)


def is_finished(last: Progress, config: Config) -> bool:
    """Whether a training is at its end: all steps are done, or its patience is spent."""
    return last.step >= config.steps or last.is_spent(config.patience, config.val_every)


def check_goes_on(config: Config, path: Path) -> None:
    """See that a run that is there, if one is, may go on by this config; before its data is read.

    Raises:
        InputError: It is of other settings, or of another version.
    """
    run = RunDir(path)
    if run.config.exists():
        run.check_settings(asdict(config), decisive(), _recorded)


def load_run(
    path: Path,
    data_dir: str | None,
    device: str,
    sizes: Mapping[str, int | None] | None = None,
    moved: str | None = None,
) -> Run:
    """Read the best checkpoint of a run, unfinished or not, with ``sizes`` over its own.

    ``moved`` is where the folder of pictures or the table of a run is now, if it has one. A split
    that is too small for such tasks refuses when it is asked for.
    """
    config = _readable(path, device)
    config = replace(config, data_dir=remembered_folder(path, data_dir, config))
    config = replace(config, folder=remembered_pictures(path, moved, config))
    config = replace(config, table=remembered_table(path, moved, config))
    of_tasks = with_sizes(config, sizes or {})
    tasks = task_sources(of_tasks, kept_split(of_tasks, RunDir(path)))
    of_classes, spec = config.kind == "classification", form_of_run(tasks, RunDir(path).data).spec
    spec = replace(spec, outputs=config.n_way) if of_classes else spec
    # Its weights are read from the run, so none are downloaded.
    empty = learner_for(replace(config, pretrained=False), spec)
    run = _with_best(config, empty, tasks, RunDir(path))
    one, note = for_ways(run.as_trained, of_tasks.ways("test") if of_classes else None)
    note = note if of_tasks.ways("test") != config.ways("test") else ""
    before = run.progress.computed_with.get("data")
    # Of a split that is refused nothing can be compared.
    with suppress(InputError):
        if config.table and before is not None and before != fingerprint(tasks):
            note = "the table changed since the run was trained"
    # Tasks of the sizes that are evaluated, which those of the training may not have.
    workers = workers_for(config, one, last_not_refused(tasks))
    return replace(run, config=of_tasks, learner=one, note=note, workers=workers)


@dataclass(frozen=True)
class Trained:
    """A run without its data, as adaptation to a task of one's own needs it."""

    config: Config
    learner: Learner  # as it was best in validation, in this process alone
    form: TaskForm
    progress: Progress
    temperature: float = 1.0  # of inductive predictions; 1 until the final test of the run
    threshold: float | None = None  # on their largest probability, for "none of these"


def load_trained(path: Path, device: str, data_dir: str | None = None) -> Trained:
    """Read the best checkpoint of a run; its data only where an earlier version trained it."""
    config = _readable(path, device)
    try:
        form = read_form(RunDir(path).data)
    except FileNotFoundError:
        folder = remembered_folder(path, data_dir, config)
        form = form_of(task_sources(replace(config, data_dir=folder))["train"])
    empty = learner_for(replace(config, pretrained=False), form.spec)
    progress = RunDir(path).load_best(empty, training_digest(config))
    temperature, threshold = read_calibration(RunDir(path).calibration)
    empty.half_widths = read_half_widths(RunDir(path).interval)
    empty.coverage = read_coverage(RunDir(path).interval)
    empty.preparation, empty.config, empty.temperature = form.preparation, config, temperature
    return Trained(config, empty, form, progress, temperature, threshold)


def _readable(path: Path, device: str) -> Config:
    """The config of a run that has a best checkpoint, for a device."""
    run = RunDir(path)
    config = read_config(run.config)
    if not run.best.exists():
        raise InputError(
            f"{path} has no validated checkpoint yet; train until the first validation (outer step "
            f"{min(config.val_every, config.steps)})"
        )
    recordable = config.execution != "captured" or device.startswith("cuda")
    return replace(config, device=device, execution=config.execution if recordable else "auto")


def outer_settings(config: Config, validation: TaskSource) -> OuterSettings:
    """The settings of the outer loop for a config."""
    return OuterSettings(
        **{name: getattr(config, name) for name in SHARED},
        val_steps=config.test_inner_steps,
        norm=config.norm,
        larger_is_better=validation.spec.larger_is_better,
        lr=lambda step: cosine(config.outer_lr, config.final_outer_lr, step, config.steps),
        remedy="try a smaller --inner-lr or --outer-lr in a new run directory",
        digest=training_digest(config),
        recorded=asdict(config),
        decisive=decisive(),
        read=_recorded,
        val_ways=config.test_n_way,
        # Of those whose results stand beside the papers', which are averages in part.
        top=TOP if config.budget else 0,
    )


def _recorded(path: Path) -> dict[str, Any]:
    return asdict(read_config(path, resume=True))


def _of_rounding(config: Config) -> Provenance:
    """Settings that change results by rounding alone, and what a schedule stretches over."""
    compiled = ", compiled" if config.compile else ""
    told: Provenance = {"execution": f"{config.execution}, {config.memory}{compiled}"}
    if config.final_outer_lr is not None or config.multi_step_loss or config.first_order_share:
        told["steps of the schedule"] = config.steps
    return told


def _with_best(config: Config, empty: Learner, tasks: Tasks, run: RunDir) -> Run:
    """A run with the best initialisation of its directory in a learner."""

    def read() -> tuple[Progress, Progress]:
        progress = run.load_best(empty, training_digest(config))
        # An unfinished run may have none yet.
        return progress, checkpoint.load(run.last)[1] if run.last.exists() else progress

    progress, last = ranks().from_first(read)
    start_alike(empty)
    one, _ = for_ways(empty, config.test_n_way)
    return Run(config, one, empty, tasks, progress, last)
