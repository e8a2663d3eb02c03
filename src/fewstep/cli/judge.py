"""Judging a run with a progress bar, and what is written down afterwards."""

from __future__ import annotations

from pathlib import Path

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
from fewstep.report.table import ScoreTable, protocol
from fewstep.training.evaluation import Result, judge_each, means
from fewstep.training.examination import examine
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
    return means(judged)


def write_report(run: Run, run_dir: Path, result: Result, console: Console) -> None:
    """The summary, the diagnosis and the pictures of a run's final test.

    All files come first: what cannot be printed costs none of them.
    """
    files, config = RunDir(run_dir), run.config
    figures = examine(run, files, config.test_inner_steps, config.norm, config.test_tasks)
    told = summary(config, result, run.progress, "test", config.norm, figures)
    files.write_json(files.summary, told)
    draw_curves(files.curve, config, {config.algorithm: result}, config.norm)
    pictures = [files.curve]
    if config.data != "sinusoid":
        task, norm = run.tasks["test"].batch([0]), batch_norm(config, config.norm)
        draw_task(files.task, run.learner, task, config.test_inner_steps, norm)
        pictures.append(files.task)
    plain_console().print(ScoreTable(config, {config.algorithm: result}))
    console.print(protocol(config, result, "test", config.norm), soft_wrap=True)
    console.print(f"pictures: {', '.join(map(str, pictures))}", soft_wrap=True)
    for line in diagnosis_lines(figures):
        console.print(line, soft_wrap=True)
