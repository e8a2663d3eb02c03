"""Results of a run: evaluated with a progress bar, written to its directory, shown again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from fewstep.choices import Norm, Split
from fewstep.cli.averaging import average_lines, tested_average
from fewstep.cli.console import plain_console
from fewstep.cli.intervals import covered, interval_lines, measured_interval
from fewstep.cli.progress import after, counting
from fewstep.config.algorithms import steps_in_words
from fewstep.config.file import decisive, read_config, training_digest
from fewstep.config.schema import Config, batch_norm
from fewstep.data.preparation import Preparation
from fewstep.distributed.ranks import ranks
from fewstep.errors import InputError
from fewstep.evaluation.calibrated import calibrated_as
from fewstep.evaluation.confidence import TASKS
from fewstep.evaluation.diagnosis import findings
from fewstep.evaluation.evaluate import Results, evaluate_tasks, means
from fewstep.evaluation.numbers import shown
from fewstep.files import read_json_object, rounded
from fewstep.learners.any_ways import for_ways
from fewstep.report.pictures import draw_curves, draw_task
from fewstep.report.reliability import draw_reliability
from fewstep.report.summary import results_of, summary
from fewstep.report.table import ScoreTable, calibration_lines, protocol
from fewstep.training import checkpoint, lock
from fewstep.training.calibrate import Chosen, choose_on_validation, inductive, norms_of
from fewstep.training.calibration_file import calibration_as_json
from fewstep.training.interrupt import Interrupted
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run
from fewstep.training.side_by_side import diagnose


def evaluate(
    run: Run,
    tasks: int,
    steps: int,
    norm: Norm,
    split: Split,
    console: Console,
    chosen: Chosen | None = None,
) -> Results:
    """Evaluate on the first ``tasks`` tasks of a split, with a bar on a terminal.

    By this norm first, and by the other one where that makes a difference; with the calibration of
    those that something is chosen for.
    """
    results: Results = {}
    learner = run.learner
    if run.config.test_n_way:
        # Training tasks have another number of classes.
        learner, _ = for_ways(learner, run.config.ways(split))
    for used in norms_of(run, norm):
        told = f"{tasks} {split} tasks, {batch_norm(run.config, used)}"
        with counting(console, told, tasks) as advance:
            found = evaluate_tasks(learner, run.tasks[split], tasks, steps, used, advance)
        results[used] = replace(means(found), draws=tasks if run.config.table else None)
        calibration = calibrated_as(found.predictions, (chosen or {}).get(used))
        results[used] = replace(results[used], calibration=calibration)
        if diverged := results[used].diverged:
            task, inner = diverged
            console.print(
                f"diverged: the loss of {split} task {task} is not finite after "
                f"{steps_in_words(None, inner)}; take fewer inner steps, or train with a smaller "
                "--inner-lr",
                soft_wrap=True,
            )
    return results


def final_test(run: Run, run_dir: Path, console: Console, command: Sequence[str] = ()) -> None:
    """The final test of a run, with its summary, diagnosis and pictures.

    The summary tells the ``command`` that it came about by.

    Raises:
        Interrupted: The user stopped it.
        InputError: The run directory holds another run by now.
    """
    files, config, norm = RunDir(run_dir), run.config, run.config.norm
    tasks, steps = config.test_tasks, config.test_inner_steps
    try:
        chosen = choose_on_validation(run, tasks, steps, norm)
        results = evaluate(run, tasks, steps, norm, "test", console, chosen)
        average = tested_average(run, run_dir, tasks, steps, norm, console)
        figures = diagnose(run, run_dir, steps, norm, tasks)
        if not ranks().is_first:
            return
        if checkpoint.load(files.best)[1] != run.progress:
            raise InputError(
                f"{run_dir} holds another run by now; its files stay, and this test is written "
                "nowhere"
            )
        # All files come first: what cannot be printed costs none of them.
        if found := inductive(run, chosen):
            chosen_by = calibration_as_json(found, "inductive", steps, min(tasks, TASKS))
            files.write_json(files.calibration, chosen_by)
        if interval := measured_interval(run):
            files.write_json(files.interval, interval)
            figures = replace(figures, covered=covered(run, interval))
        draw_curves(files.curve, config, {config.algorithm: results})
        pictures = [files.curve]
        if any(result.calibration for result in results.values()):
            draw_reliability(files.reliability, config, results, "test")
            pictures.append(files.reliability)
        if (config.kind, config.data_set.examples) == ("classification", "pictures"):
            first = run.tasks["test"].batch([0])
            how = run.tasks["test"].preparation
            ink = not isinstance(how, Preparation) or how.ink
            draw_task(files.task, run.learner, first, steps, norm, batch_norm(config, norm), ink)
            pictures.append(files.task)
        # Last of the files: where it stands, so do the pictures.
        progress = run.progress
        told = summary(config, results, progress, "test", figures, run.trained, average, command)
        files.write_json(files.summary, told)
        lines = [_kept(config, run.progress), *average_lines(config, average)]
        lines += interval_lines(config, interval)
        show(config, results, "test", findings(figures), console, pictures, lines)
    except KeyboardInterrupt:
        raise Interrupted("stopped in the final test") from None


def show_finished(config: Config, run_dir: Path, console: Console) -> bool:
    """Show the final test of a run that is finished, if it is the one that would be done now."""
    files = RunDir(run_dir)
    every = (files.curve, files.reliability, files.task)
    pictures = [path for path in every if path.exists()]
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
        drawn = told.get("draws", told["tasks"])
        (name, means), *_ = results[config.norm].metrics.items()
        advice = told["diagnosis"]["findings"]
        interval = read_json_object(files.interval, "") if files.interval.exists() else None
        # Of earlier versions there is none.
        lines = [_kept(config, best), *average_lines(config, told.get("average"))]
        lines += interval_lines(config, interval)
        if (
            any(getattr(saved, n) != getattr(config, n) for n in decisive())
            or {last.settings, best.settings} != {training_digest(config)}
            or not (last.step == config.steps or last.is_spent(config.patience, config.val_every))
            or any({**told, "tasks": drawn}[key] != value for key, value in asked.items())
            or not (isinstance(advice, list) and all(isinstance(line, str) for line in advice))
            or not pictures
            or (any(r.calibration for r in results.values()) and not files.calibration.exists())
            # Another process is at work there, or was killed before its end.
            or (run_dir / lock.NAME).exists()
        ):
            return False
    # Files that lack, are damaged or of another version: training tells of them, or tests again.
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
    more = f"--steps {2 * last.step}" if last.step == config.steps else "--patience 0"
    console.print(
        f"finished after {last.step:,} outer steps; {name} {shown(name, means.mean[-1])}"
        f"{after(config, len(means.mean) - 1)}; more: {more}",
        soft_wrap=True,
    )
    show(config, results, "test", advice, console, pictures, lines)
    return True


def _kept(config: Config, progress: checkpoint.Progress) -> str:
    """Which initialisation it is that was tested."""
    best = progress.best_score
    score = "" if best is None else f": validation {config.score} {shown(config.score, best)}"
    return f"kept after outer step {progress.step:,}{score}"


def show(
    config: Config,
    results: Results,
    split: Split,
    findings: list[str],
    console: Console,
    pictures: Sequence[Path] = (),
    more: Sequence[str] = (),
) -> None:
    """Print the table; tell its protocol, calibration, pictures and findings of the diagnosis."""
    plain_console().print(ScoreTable({config.algorithm: results}), crop=False)
    for line in (protocol(config, results, split), *calibration_lines(results), *more):
        console.print(line, soft_wrap=True)
    if pictures:
        console.print(f"pictures: {', '.join(map(str, pictures))}", soft_wrap=True)
    for sentence in findings or ["nothing is out of line"]:
        console.print(f"diagnosis: {sentence}", soft_wrap=True)
