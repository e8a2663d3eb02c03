"""A run: trained in its directory, or read back from there, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from fewstep.cli.progress import ProgressBar
from fewstep.config.file import read_config, remembered_folder, training_digest
from fewstep.config.schema import Config, with_sizes
from fewstep.data.registry import task_sources
from fewstep.data.source import Split, TaskSource
from fewstep.errors import InputError
from fewstep.learners.base import Learner
from fewstep.training import checkpoint
from fewstep.training.build import learner
from fewstep.training.checkpoint import Progress
from fewstep.training.lock import locked
from fewstep.training.loop import OuterLoop
from fewstep.training.run_dir import RunDir


@dataclass(frozen=True)
class Run:
    """A learner as it was best in validation, and its tasks.

    Attributes:
        config: Of the run.
        learner: With the best initialisation.
        tasks: Of each split.
        progress: Of the run when this initialisation was kept.
    """

    config: Config
    learner: Learner
    tasks: dict[Split, TaskSource]
    progress: Progress


def train(config: Config, path: Path, data_dir: Path | None, console: Console) -> Run:
    """Train, from the run's last checkpoint where there is one; see `trained`."""
    with trained(config, path, data_dir, console) as run:
        return run


@contextmanager
def trained(config: Config, path: Path, data_dir: Path | None, console: Console) -> Iterator[Run]:
    """Train, from the run's last checkpoint where there is one.

    The run directory is locked until what is inside has ended.

    Args:
        config: Of the run.
        path: The run directory; made where it is missing.
        data_dir: The folder of the data, where the recipe needs one.
        console: Shows how far it is.

    Yields:
        The run with the initialisation that was best in validation.

    Raises:
        InputError: The run directory, the data or a setting does not fit, another process trains
            there, or a loss is not finite.
        Interrupted: The user stopped it.
    """
    tasks = task_sources(config, data_dir)
    new = learner(config, tasks["train"])
    run = RunDir(path)
    with locked(path):
        resume = run.open(config)
        with ProgressBar(console, config) as bar:
            OuterLoop(config, new, tasks, run, bar).train(resume)
        yield load_best(config, new, tasks, run)


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
        InputError: It is no run directory, has no validated checkpoint yet, or is of another
            version; or the data are missing, or its learner does not fit the sizes.
    """
    run = RunDir(path)
    config = replace(read_config(run.config), device=device)
    if not run.best.exists():
        raise InputError(
            f"{path} has no validated checkpoint yet; train until the first validation (outer step "
            f"{min(config.val_every, config.steps)})"
        )
    folder = remembered_folder(path, data_dir, config)
    of_tasks = with_sizes(config, sizes or {})
    tasks = task_sources(of_tasks, Path(folder) if folder else None)
    empty = learner(replace(config, n_way=of_tasks.n_way), tasks["train"])
    return replace(load_best(config, empty, tasks, run), config=of_tasks)


def untrained(run: Run) -> Run:
    """The same network and tasks, with the initial weights of the run's seed."""
    config = replace(run.config, algorithm="maml")
    return Run(config, learner(config, run.tasks["train"]), run.tasks, Progress())


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
    values, progress = checkpoint.load(run.best)
    checkpoint.check_settings(run.best, progress, training_digest(config))
    checkpoint.restore(dict(empty.named_parameters()), values, run.best)
    return Run(config, empty, tasks, progress)
