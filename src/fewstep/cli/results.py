"""Results of a run: evaluated with a progress bar, written to its directory, shown again."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import Progress

from fewstep.cli.console import plain_console
from fewstep.config.file import decisive, read_config, training_digest
from fewstep.config.schema import Config, batch_norm, has_batch_norm
from fewstep.data.source import Split
from fewstep.errors import InputError
from fewstep.evaluation.diagnosis import findings
from fewstep.evaluation.evaluate import Result, Results, evaluate_tasks, means
from fewstep.files import read_json_object, rounded
from fewstep.functional.call import Norm
from fewstep.report.curves import draw_curves
from fewstep.report.episode import draw_task
from fewstep.report.summary import results_of, summary
from fewstep.report.table import ScoreTable, number, protocol, unit
from fewstep.training import checkpoint
from fewstep.training.interrupt import Interrupted
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run, diagnose


def evaluate(
    run: Run, tasks: int, steps: int, norm: Norm, split: Split, console: Console
) -> Results:
    """Evaluate on the first ``tasks`` tasks of a split, with a bar on a terminal.

    By this norm first, and by the other one where that makes a difference.
    """
    norms = sorted(get_args(Norm), key=lambda other: other != norm)
    return {
        n: _evaluate(run, tasks, steps, n, split, console)
        for n in norms[: 2 if has_batch_norm(run.config) else 1]
    }


def _evaluate(
    run: Run, tasks: int, steps: int, norm: Norm, split: Split, console: Console
) -> Result:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task(f"{tasks} {split} tasks, {batch_norm(run.config, norm)}", total=tasks)
        evaluated = evaluate_tasks(
            run.learner,
            run.tasks[split],
            tasks,
            steps,
            norm,
            lambda done: bar.advance(shown, done),
        )
    result = means(evaluated)
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
        results = evaluate(
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
    _show(config, results, pictures, findings(figures), console)


def show_finished(config: Config, run_dir: Path, console: Console) -> bool:
    """Show the final test of a run that is finished, if it is the one that would be done now."""
    files = RunDir(run_dir)
    pictures = [path for path in (files.curve, files.task) if path.exists()]
    try:
        last, best = (checkpoint.load(path)[1] for path in (files.last, files.best))
        told, saved = read_json_object(files.summary, ""), read_config(files.config)
        results = results_of(told)
        asked = {
            "norm": config.norm,
            "tasks": config.test_tasks,
            "outer_step": best.step,
            "validation_score": rounded(best.best_score),
        }
        (name, means), *_ = next(iter(results.values())).metrics.items()
        if (
            any(getattr(saved, n) != getattr(config, n) for n in decisive())
            or {last.settings, best.settings} != {training_digest(config)}
            or not (last.step == config.steps or last.is_spent(config.patience, config.val_every))
            or any(told[key] != value for key, value in asked.items())
            or not pictures
        ):
            return False
    # Files that lack, are damaged or of another version: training tells of them, or tests again.
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    more = f"--steps {2 * last.step}" if last.step == config.steps else "--patience 0"
    console.print(
        f"finished after {last.step:,} outer steps; {name} {number(name, means.mean[-1])}"
        f"{unit(name)} after {len(means.mean) - 1} inner steps, {batch_norm(config, config.norm)}; "
        f"more: {more}",
        soft_wrap=True,
    )
    _show(config, results, pictures, told["diagnosis"]["findings"], console)
    return True


def _show(
    config: Config, results: Results, pictures: list[Path], findings: list[str], console: Console
) -> None:
    plain_console().print(ScoreTable(config, {config.algorithm: results}), crop=False)
    told = [protocol(config, results, "test"), f"pictures: {', '.join(map(str, pictures))}"]
    for line in (*told, *diagnosis_lines(findings)):
        console.print(line, soft_wrap=True)


def diagnosis_lines(findings: list[str]) -> list[str]:
    """One line for each finding, and one where there is none."""
    return [f"diagnosis: {sentence}" for sentence in findings or ["nothing is out of line"]]
