"""Judging a run with a progress bar, and what is written down afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import Progress

from fewstep.cli.console import plain_console
from fewstep.config.schema import batch_norm, has_batch_norm
from fewstep.data.source import Split
from fewstep.errors import InputError
from fewstep.evaluation.evaluate import Result, Results, evaluate_tasks, means
from fewstep.functional.call import Norm
from fewstep.report.curves import draw_curves
from fewstep.report.diagnosis import diagnosis_lines
from fewstep.report.episode import draw_task
from fewstep.report.summary import summary
from fewstep.report.table import ScoreTable, protocol
from fewstep.training import checkpoint
from fewstep.training.interrupt import Interrupted
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run, diagnose


def judge(run: Run, tasks: int, steps: int, norm: Norm, split: Split, console: Console) -> Results:
    """Judge on the first ``tasks`` tasks of a split, with a bar on a terminal.

    By this norm first, and by the other one where that makes a difference.
    """
    norms = sorted(get_args(Norm), key=lambda other: other != norm)
    return {
        n: _judge(run, tasks, steps, n, split, console)
        for n in norms[: 2 if has_batch_norm(run.config) else 1]
    }


def _judge(run: Run, tasks: int, steps: int, norm: Norm, split: Split, console: Console) -> Result:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task(f"{tasks} {split} tasks, {batch_norm(run.config, norm)}", total=tasks)
        judged = evaluate_tasks(
            run.learner,
            run.tasks[split],
            tasks,
            steps,
            norm,
            lambda done: bar.advance(shown, done),
        )
    result = means(judged)
    if result.diverged:
        task, inner = result.diverged
        console.print(
            f"diverged: the loss of {split} task {task} is not finite after {inner} inner steps; "
            "take fewer inner steps, or train with a smaller --inner-lr",
            soft_wrap=True,
        )
    return result


def final_test(run: Run, run_dir: Path, console: Console) -> None:
    """The final test of a run, with its report.

    Raises:
        Interrupted: The user stopped it.
    """
    config = run.config
    try:
        results = judge(
            run, config.test_tasks, config.test_inner_steps, config.norm, "test", console
        )
        _check_is_there(run, run_dir)
        write_report(run, run_dir, results, console)
    except KeyboardInterrupt:
        raise Interrupted("stopped in the final test") from None


def _check_is_there(run: Run, run_dir: Path) -> None:
    """See that the run directory still holds the run that was tested, by its best checkpoint."""
    if checkpoint.load(RunDir(run_dir).best)[1] != run.progress:
        raise InputError(
            f"{run_dir} holds another run by now; its files stay, and this test is written nowhere"
        )


def write_report(run: Run, run_dir: Path, results: Results, console: Console) -> None:
    """The summary, the diagnosis and the pictures of a run's final test.

    All files come first: what cannot be printed costs none of them.
    """
    files, config = RunDir(run_dir), run.config
    figures = diagnose(run, run_dir, config.test_inner_steps, config.norm, config.test_tasks)
    files.write_json(files.summary, summary(config, results, run.progress, "test", figures))
    draw_curves(files.curve, config, {config.algorithm: results})
    pictures = [files.curve]
    if (config.data_set.kind, config.data_set.examples) == ("classification", "pictures"):
        task, norm = run.tasks["test"].batch([0]), batch_norm(config, config.norm)
        draw_task(files.task, run.learner, task, config.test_inner_steps, config.norm, norm)
        pictures.append(files.task)
    plain_console().print(ScoreTable(config, {config.algorithm: results}), crop=False)
    console.print(protocol(config, results, "test"), soft_wrap=True)
    console.print(f"pictures: {', '.join(map(str, pictures))}", soft_wrap=True)
    for line in diagnosis_lines(figures):
        console.print(line, soft_wrap=True)
