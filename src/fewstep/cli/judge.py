"""Judging a run with a progress bar, and what is written down afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from fewstep.cli.console import plain_console
from fewstep.config import batch_norm
from fewstep.data.episodes import Split
from fewstep.functional import Norm
from fewstep.report.curves import draw_curves
from fewstep.report.diagnosis import diagnosis_lines
from fewstep.report.episode import draw_task
from fewstep.report.summary import summary
from fewstep.report.table import protocol, score_table
from fewstep.training.evaluation import Result, judge_each, means
from fewstep.training.examination import examine
from fewstep.training.interrupt import Interrupted
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run


def judge(run: Run, tasks: int, steps: int, norm: Norm, split: Split, console: Console) -> Result:
    """Judge on the first ``tasks`` tasks of a split, with a bar on a terminal."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task(f"{tasks} {split} tasks", total=tasks)
        judged = judge_each(
            run.learner,
            run.tasks[split],
            tasks,
            steps,
            norm,
            run.config.device,
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


def with_divergence(told: dict[str, Any], result: Result) -> dict[str, Any]:
    """A summary that says in which task the loss was not finite, and after which inner step."""
    task, inner = result.diverged or (None, None)
    return {**told, "diverged": result.diverged and {"task": task, "inner_step": inner}}


def final_test(run: Run, run_dir: Path, console: Console) -> None:
    """The final test of a run, with its report.

    Raises:
        Interrupted: The user stopped it.
    """
    config = run.config
    try:
        result = judge(
            run, config.test_tasks, config.test_inner_steps, config.norm, "test", console
        )
        write_report(run, run_dir, result, console)
    except KeyboardInterrupt:
        raise Interrupted("stopped in the final test") from None


def write_report(run: Run, run_dir: Path, result: Result, console: Console) -> None:
    """The summary, the diagnosis and the pictures of a run's final test."""
    files, config = RunDir(run_dir), run.config
    figures = examine(run, files, config.test_inner_steps, config.norm, config.test_tasks)
    told = summary(config, result, run.progress, "test", config.norm, figures)
    files.write_json(files.summary, with_divergence(told, result))
    draw_curves(files.curve, config, {config.algorithm: result}, config.norm)
    plain_console().print(score_table(config, {config.algorithm: result}))
    console.print(protocol(config, result, "test", config.norm), soft_wrap=True)
    pictures = [files.curve]
    if config.data != "sinusoid":
        task, norm = run.tasks["test"].batch([0]), batch_norm(config, config.norm)
        draw_task(files.task, run.learner, task, config.test_inner_steps, config.norm, norm)
        pictures.append(files.task)
    console.print(f"pictures: {', '.join(map(str, pictures))}", soft_wrap=True)
    for line in diagnosis_lines(figures):
        console.print(line, soft_wrap=True)
