"""``fewstep train ... --search N`` and ``--seeds N``: several trainings, and what they tell."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from fewstep.cli.console import plain_console
from fewstep.cli.progress import ProgressBar
from fewstep.config.schema import Config
from fewstep.data.source import KeptSplit
from fewstep.distributed.ranks import ranks
from fewstep.errors import InputError
from fewstep.evaluation.by_rows import Scores
from fewstep.evaluation.evaluate import evaluate_tasks
from fewstep.evaluation.numbers import shown
from fewstep.files import read_json_object, rounded
from fewstep.report.summary import results_of
from fewstep.training import lock
from fewstep.training.figures import NotFiniteError
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run, trained
from fewstep.training.same_data import check_same_data
from fewstep.training.search import (
    Trial,
    best,
    changed,
    drawn,
    shortened,
    simplest,
    space_of,
)
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
    """Train so many configurations for a part of the steps, and choose one by validation tasks.

    A search that was stopped goes on with the trials that are not done.

    Raises:
        InputError: Nothing can be searched over, or every trial diverged.
    """
    space = space_of(config, is_given)
    if not space:
        raise InputError("every setting that a search varies is given; leave --search out, or some")
    choices = drawn(config, space, number)
    trials: list[Trial] = []
    larger = False
    for i, changes in enumerate(choices):
        one = shortened(changed(config, changes))
        said = f"trial {i + 1} of {len(choices)}, {one.steps:,} outer steps: {_words(changes)}"
        console.print(said, soft_wrap=True)
        folder = run_dir / SEARCH / f"trial{i}"
        check_same_data(one, folder)
        try:
            with trained(one, folder, ProgressBar(console, one)) as run:
                trials.append(Trial(changes, _parameters(run), _scores(run)))
                larger = run.tasks["val"].spec.larger_is_better
        except InputError as error:
            if not isinstance(error.__cause__, NotFiniteError):
                raise
            console.print(f"trial {i + 1} diverged", soft_wrap=True)
            trials.append(Trial(changes, 0, np.array([np.nan])))
    top = best(trials, larger_is_better=larger)
    if top is None:
        raise InputError("every trial diverged; give a smaller --inner-lr or --outer-lr")
    found = simplest(trials, top, larger_is_better=larger)
    listed = [
        {"changes": one.changes, "parameters": one.parameters, "score": one.score} for one in trials
    ]
    numbers = {"best": trials.index(top), "chosen": trials.index(found)}
    files = RunDir(run_dir / SEARCH)
    result = {"metric": config.score, "trials": listed, **numbers}
    if ranks().is_first:
        files.write_json(files.path / "trials.json", rounded(result))
    plain_console().print(_table(config.score, trials, top, found), crop=False)
    chosen, told = changed(config, found.changes), dict(found.changes)
    if chosen.test_inner_steps != config.test_inner_steps:
        told["test_inner_steps"] = chosen.test_inner_steps
    flags = [word for name, value in told.items() for word in (_flag(name), str(value))]
    why = "" if found is top else ", the fewest parameters within one standard error of the best"
    number = trials.index(found) + 1
    console.print(f"chosen: trial {number}{why}: {shlex.join([*command, *flags])}", soft_wrap=True)
    return chosen


def _parameters(run: Run) -> int:
    return sum(parameter.numel() for _, parameter in run.learner.named_parameters())


def _scores(run: Run) -> Scores:
    """The score of each validation task after the last inner step."""
    config, validation = run.config, run.tasks["val"]
    number, steps = config.val_tasks, config.test_inner_steps
    found = evaluate_tasks(run.learner, validation, number, steps, config.norm)
    scores: Scores = found.scores[:, -1].double().cpu().numpy()
    return scores


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
        told = ranks().from_first(partial(read_json_object, RunDir(folder).summary, ""))
        results = results_of(told)
        means = next(iter(results[config.norm].metrics.values()))
        scores.append(means.mean[-1])
        steps = len(means.mean) - 1
    spread = stdev(scores)
    found: dict[str, Any] = {"metric": config.score, "inner_steps": steps, "seeds": seeds}
    found |= {"scores": scores, "mean": fmean(scores), "standard_deviation": spread}
    whole = RunDir(run_dir)
    if ranks().is_first:
        whole.write_json(run_dir / "seeds.json", rounded(found))
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


def _table(metric: str, trials: list[Trial], top: Trial, found: Trial) -> Table:
    names = list(found.changes)
    table = Table(*names, "parameters", f"validation {metric}", "", box=box.SIMPLE_HEAD)
    for trial in trials:
        score = "diverged" if trial.score is None else shown(metric, trial.score)
        marks = [word for word, one in (("best", top), ("chosen", found)) if trial is one]
        values = (f"{trial.changes[name]:g}" for name in names)
        table.add_row(*values, f"{trial.parameters:,}", score, ", ".join(marks))
    return table


def _words(changes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in changes.items())


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
