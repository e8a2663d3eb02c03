"""A run of the command line: trained in its directory, or read back from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from fewstep.choices import Norm, Split
from fewstep.config.file import decisive, read_config, remembered_folder, training_digest
from fewstep.config.schema import Config, with_sizes
from fewstep.data.registry import task_sources
from fewstep.data.source import TaskSource
from fewstep.errors import InputError
from fewstep.evaluation.diagnosis import Figures
from fewstep.evaluation.evaluate import device_of
from fewstep.evaluation.measurements import measure
from fewstep.learners.base import Learner
from fewstep.learners.schedules import cosine
from fewstep.training import checkpoint
from fewstep.training.build import learner
from fewstep.training.checkpoint import Progress
from fewstep.training.keeping import Keeper
from fewstep.training.lock import locked
from fewstep.training.loop import OuterLoop
from fewstep.training.metrics_log import read_metrics
from fewstep.training.provenance import provenance
from fewstep.training.reporter import Reporter
from fewstep.training.run_dir import RunDir, put_best
from fewstep.training.settings import OuterSettings
from fewstep.training.streams import stream_of


@dataclass(frozen=True)
class Run:
    """A learner as it was best in validation, and its tasks.

    Attributes:
        config: Of the run.
        learner: With the best initialisation.
        tasks: Of each split.
        progress: Of the run when this initialisation was kept.
        trained: Of the run when it was last saved.
    """

    config: Config
    learner: Learner
    tasks: dict[Split, TaskSource]
    progress: Progress
    trained: Progress

    @property
    def finished(self) -> bool:
        """Whether training the same run again would take no outer step."""
        return self.trained.step >= self.config.steps or self.trained.is_spent(
            self.config.patience, self.config.val_every
        )


@contextmanager
def trained(config: Config, path: Path, reporter: Reporter) -> Iterator[Run]:
    """Train, from the run's last checkpoint where there is one.

    The run directory is locked until what is inside has ended.

    Args:
        config: Of the run.
        path: The run directory; made where it is missing.
        reporter: Told how far it is.

    Yields:
        The run with the initialisation that was best in validation.

    Raises:
        InputError: The run directory, the data or a setting does not fit, another process trains
            there, or a loss is not finite.
        Interrupted: The user stopped it.
    """
    tasks = task_sources(config)
    new = learner(config, tasks["train"])
    run, settings = RunDir(path), settings_of(config, tasks["val"])
    with locked(path):
        run.open(settings)
        OuterLoop(
            settings=settings,
            learner=new,
            optimizer=torch.optim.Adam((p for _, p in new.named_parameters()), config.outer_lr),
            train=stream_of(tasks["train"], config.meta_batch, config.seed, device_of(new)),
            validation=tasks["val"],
            keeper=Keeper(run),
            reporters=[reporter],
            conditions=provenance(new, tasks) | _of_rounding(config),
        ).run()
        yield load_best(config, new, tasks, run)


def settings_of(config: Config, validation: TaskSource) -> OuterSettings:
    """The settings of the outer loop that a config tells."""
    return OuterSettings(
        steps=config.steps,
        val_every=config.val_every,
        val_tasks=config.val_tasks,
        val_steps=config.test_inner_steps,
        norm=config.norm,
        patience=config.patience,
        checkpoint_every=config.checkpoint_every,
        seed=config.seed,
        ema_decay=config.ema_decay,
        larger_is_better=validation.spec.larger_is_better,
        lr=lambda step: cosine(config.outer_lr, config.final_outer_lr, step, config.steps),
        remedy="try a smaller --inner-lr or --outer-lr in a new run directory",
        digest=training_digest(config),
        recorded=asdict(config),
        decisive=decisive(),
        read=lambda path: asdict(read_config(path, resume=True)),
    )


def load_run(
    path: Path, data_dir: str | None, device: str, sizes: Mapping[str, int | None] | None = None
) -> Run:
    """Read the best checkpoint of a run; the run may be unfinished or going on.

    Args:
        path: The run directory.
        data_dir: The folder of the data, where it is not that of the run.
        device: Where to put the learner.
        sizes: Settings of the tasks by name, where they are not those of the run.

    Raises:
        InputError: It is no run directory of the command line, has no validated checkpoint yet, or
            is of another version; or the data are missing, or the learner cannot do such tasks.
    """
    run = RunDir(path)
    config = read_config(run.config)
    config = replace(config, device=device, data_dir=remembered_folder(path, data_dir, config))
    if not run.best.exists():
        raise InputError(
            f"{path} has no validated checkpoint yet; train until the first validation (outer step "
            f"{min(config.val_every, config.steps)})"
        )
    of_tasks = with_sizes(config, sizes or {})
    tasks = task_sources(of_tasks)
    empty = learner(replace(config, n_way=of_tasks.n_way), tasks["train"])
    return replace(load_best(config, empty, tasks, run), config=of_tasks)


def diagnose(run: Run, path: Path, steps: int, norm: Norm, tasks: int) -> Figures:
    """Measure what the diagnosis of a run rests on.

    Args:
        run: The learner, and tasks of training and validation classes.
        path: The run directory, whose metrics tell how the training went.
        steps: Inner steps.
        norm: Which statistics batch norm uses on the query set.
        tasks: How many tasks of each split at most.
    """
    shots = run.config.shots("val")
    return measure(
        run.learner,
        # Of the size of validation tasks: only then do their scores compare.
        run.tasks["train"].with_shots(*shots),
        run.tasks["val"],
        steps,
        norm,
        tasks,
        larger_is_better=run.tasks["val"].spec.larger_is_better,
        metrics=read_metrics(RunDir(path).metrics, run.trained.step),
        kept_at=run.progress.step,
        planned=None if run.finished else run.config.steps,
    )


def _of_rounding(config: Config) -> dict[str, str | int]:
    """Settings that change results by rounding alone, and what a schedule stretches over."""
    shares = config.multi_step_loss or config.first_order_share
    scheduled = config.final_outer_lr is not None or shares
    execution = f"{config.execution}, {config.memory}{', compiled' if config.compile else ''}"
    return {
        "execution": execution,
        **({"steps of the schedule": config.steps} if scheduled else {}),
    }


def untrained(run: Run) -> Run:
    """The same network and tasks, with the initial weights of the run's seed."""
    config = replace(run.config, algorithm="maml")
    new = learner(config, run.tasks["train"])
    return Run(config, new, run.tasks, Progress(), Progress())


def ways_to_adapt(name: str, run: Run) -> Iterator[tuple[str, Run]]:
    """The run, by its name; twice where it is pre-trained: the whole network and the head only."""
    for way, variant in run.learner.variants().items():
        yield f"{name}, {way}" if way else name, replace(run, learner=variant)


def check_comparable(runs: dict[str, Run]) -> None:
    """See that all runs are evaluated on the same tasks.

    Raises:
        InputError: Names the first run and the setting that differ.
    """
    first_name, first = next(iter(runs.items()))
    for name, run in runs.items():
        ours, theirs = _test_tasks(first.config), _test_tasks(run.config)
        for setting, value in ours.items():
            if value != theirs[setting]:
                raise InputError(
                    f"{name} has {setting} = {theirs[setting]} and {first_name} {value}; expected "
                    "runs that are evaluated on the same tasks"
                )


def check_inner_steps(runs: dict[str, Run], steps: int) -> None:
    """See that every run can take so many inner steps.

    Raises:
        InputError: Names the run that can take the fewest, and how many those are.
    """
    most = {name: r.config.inner_steps for name, r in runs.items() if r.config.learns_per_step}
    name = min(most, key=most.__getitem__, default=None)
    if name is not None and steps > most[name]:
        raise InputError(
            f"{name} learned step sizes or batch norm for each of {most[name]} inner steps and "
            f"cannot take {steps}; use --inner-steps {most[name]}"
        )


def _test_tasks(config: Config) -> dict[str, object]:
    k_shot, q_query = config.shots("test")
    return {
        "data": config.data,
        "n_way": config.n_way,
        "k_shot": k_shot,
        "q_query": q_query,
        "seed": config.seed,
    }


def load_best(config: Config, empty: Learner, tasks: dict[Split, TaskSource], run: RunDir) -> Run:
    """Put the best initialisation of a run into a learner.

    Raises:
        InputError: The checkpoint is damaged, or of another network or run.
    """
    progress = put_best(empty, run, training_digest(config))
    # An unfinished run may have none yet.
    last = checkpoint.load(run.last)[1] if run.last.exists() else progress
    return Run(config, empty, tasks, progress, last)
