"""``fewstep train ... --search N`` and ``--seeds N``: several trainings, and what they tell."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fewstep.cli.console import plain_console
from fewstep.cli.progress import ProgressBar
from fewstep.config.schema import Config
from fewstep.data.source import KeptSplit
from fewstep.errors import InputError
from fewstep.evaluation.numbers import shown
from fewstep.files import read_json_object, rounded
from fewstep.report.summary import results_of
from fewstep.training import lock
from fewstep.training.loop import NotFiniteError
from fewstep.training.metrics_log import read_metrics
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run, trained
from fewstep.training.search import Trial, best, changed, drawn, not_told_apart, shortened, space_of
from fewstep.training.split_file import kept_split

SEARCH = "search"  # the folder of the trials, in the run directory


def check_may_hold(run_dir: Path, trials: int, seeds: int) -> None:
    """See that a folder may hold a search or several seeds; it may be there from a run before.

    Raises:
        InputError: It holds one run without them, or is none of fewstep's.
    """
    if not run_dir.exists() or not any(run_dir.iterdir()):
        return
    searched, repeated = (run_dir / SEARCH).exists(), any(run_dir.glob("seed*"))
    if not (run_dir / "config.json").exists() and not searched and not repeated:
        raise lock.no_run(run_dir)
    if (trials and not searched) or ((seeds > 1) != repeated and not searched):
        raise InputError(
            f"{run_dir} holds a training without --search or with other --seeds; use a new run "
            "directory"
        )


def search(
    config: Config,
    run_dir: Path,
    number: int,
    is_given: Callable[[str], bool],
    console: Console,
    command: list[str],
) -> Config:
    """Train so many configurations for a part of the steps; the one that was best in validation.

    A search that was stopped goes on with the trials that are not done.

    Raises:
        InputError: Nothing can be searched over, or every trial diverged.
    """
    space = space_of(config, is_given)
    if not space:
        raise InputError("every setting that a search varies is given; leave --search out, or some")
    choices = drawn(config, space, number)
    trials, larger = [], False
    for i, changes in enumerate(choices):
        one = shortened(changed(config, changes))
        told = f"trial {i + 1} of {len(choices)}, {one.steps:,} outer steps: {_words(changes)}"
        console.print(told, soft_wrap=True)
        try:
            folder = run_dir / SEARCH / f"trial{i}"
            with trained(one, folder, ProgressBar(console, one)) as run:
                score, ci95 = run.progress.best_score, _interval(run, folder)
                larger = run.tasks["val"].spec.larger_is_better
        except InputError as error:
            if not isinstance(error.__cause__, NotFiniteError):
                raise
            console.print(f"trial {i + 1} diverged", soft_wrap=True)
            score = ci95 = None
        trials.append(Trial(changes, score, ci95))
    found = best(trials, larger_is_better=larger)
    if found is None:
        raise InputError("every trial diverged; give a smaller --inner-lr or --outer-lr")
    files = RunDir(run_dir / SEARCH)
    listed = [asdict(trial) for trial in trials]
    result = {"metric": config.score, "trials": listed, "best": trials.index(found)}
    files.write_json(files.path / "trials.json", rounded(result))
    plain_console().print(_table(config.score, trials, found), crop=False)
    if told := _resolution(config.score, trials, found):
        plain_console().print(told, soft_wrap=True)
    flags = [word for name, value in found.changes.items() for word in (_flag(name), str(value))]
    console.print(f"chosen: {shlex.join([*command, *flags])}", soft_wrap=True)
    return changed(config, found.changes)


def repeat(
    config: Config,
    run_dir: Path,
    number: int,
    console: Console,
    train: Callable[[Config, Path, Console, KeptSplit | None], object],
) -> None:
    """Train and test with so many seeds, on the same split of the data, and tell their spread.

    ``train`` trains one run in its directory, with the split of the first where that keeps one.
    """
    seeds = [config.seed + i for i in range(number)]
    first = RunDir(folder_of(run_dir, seeds[0]))
    scores, steps = [], 0
    for seed in seeds:
        folder = folder_of(run_dir, seed)
        console.print(f"seed {seed}: {folder}", soft_wrap=True)
        split = None if seed == seeds[0] else kept_split(config, first)
        train(replace(config, seed=seed), folder, console, split)
        results = results_of(read_json_object(RunDir(folder).summary, ""))
        means = next(iter(results[config.norm].metrics.values()))
        scores.append(means.mean[-1])
        steps = len(means.mean) - 1
    spread = stdev(scores)
    told: dict[str, Any] = {"metric": config.score, "inner_steps": steps, "seeds": seeds}
    told |= {"scores": scores, "mean": fmean(scores), "standard_deviation": spread}
    whole = RunDir(run_dir)
    whole.write_json(run_dir / "seeds.json", rounded(told))
    each = ", ".join(shown(config.score, score) for score in scores)
    plain_console().print(
        f"{config.score} {shown(config.score, fmean(scores))}, mean of {number} seeds ({each}), "
        f"standard deviation {shown(config.score, spread)} over {number} seeds, after {steps} "
        "inner steps",
        soft_wrap=True,
    )


def folder_of(run_dir: Path, seed: int) -> Path:
    """The run directory of one of several seeds."""
    return run_dir / f"seed{seed}"


def _table(metric: str, trials: list[Trial], found: Trial) -> Table:
    names = list(found.changes)
    table = Table(*names, f"validation {metric}", box=box.SIMPLE_HEAD)
    for trial in trials:
        score = "diverged" if trial.score is None else shown(metric, trial.score)
        mark = "  best" if trial is found else ""
        table.add_row(*(f"{trial.changes[name]:g}" for name in names), score + mark)
    return table


def _interval(run: Run, folder: Path) -> float | None:
    """Half the 95% interval of a trial's best score over validation tasks, where it is known."""
    step = run.progress.best_step
    told = [line for line in read_metrics(RunDir(folder).metrics, step) if line["step"] == step]
    found = next((line["val/ci95"] for line in told if "val/ci95" in line), None)
    return found if isinstance(found, float) and isfinite(found) else None


def _resolution(metric: str, trials: list[Trial], found: Trial) -> str:
    """How far trials are told apart: by the interval of the best one over validation tasks."""
    if found.score is None or found.ci95 is None:
        return ""
    close = [str(i + 1) for i in not_told_apart(trials, found)]
    which = f"trials {', '.join(close)} are" if len(close) > 1 else f"trial {''.join(close)} is"
    return (
        f"the best is {shown(metric, found.score, found.ci95)}, a 95% interval over validation "
        f"tasks; {which if close else 'no other trial is'} within it"
        + (", and not told apart from the best" if close else "")
    )


def _words(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in changes.items())


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
