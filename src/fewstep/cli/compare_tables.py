"""Runs of a table beside ordinary models, by the rows of the new task."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from fewstep.cli.progress import ProgressBar, counting
from fewstep.data.tables.tasks import TableTasks
from fewstep.errors import InputError
from fewstep.evaluation.by_rows import AtRows
from fewstep.evaluation.rivals.of_tables import DESCRIBED, POOLED
from fewstep.evaluation.table_rivals import ROWS, Compared, compare_by_rows
from fewstep.files import make_folder
from fewstep.report.by_rows import as_json, as_lines
from fewstep.report.rows_picture import draw_by_rows
from fewstep.training.comparison_file import keep_comparison
from fewstep.training.pooled import pooled_network
from fewstep.training.reporter import Reporter
from fewstep.training.runs import Run


def compare_tables(
    runs: Mapping[str, Run],
    run_dirs: Sequence[Path],
    tasks: int,
    picture: Path,
    output: Console,
    errors: Console,
    *,
    json_alone: bool,
) -> None:
    """Print and draw the scores of all runs and their rivals; the first run tells the network."""
    taken = next((name for name in runs if name in DESCRIBED), None)
    if taken:
        raise InputError(f"{taken} is the name of a run and of a rival; rename the run's folder")
    found = _found(runs, run_dirs[0], tasks, errors)
    config = next(iter(runs.values())).config
    values = as_json(config, found, tasks)
    # Kept before anything is printed: the reader may stop reading.
    for (name, run), path in zip(runs.items(), run_dirs, strict=True):
        try:
            keep_comparison(path, POOLED if _is_pooled(run, runs) else name, values)
        except InputError as error:
            errors.print(f"not kept with the run: {error}", soft_wrap=True)
    if json_alone:
        print(json.dumps(values))
    # A run's name alone, which is often its table's, does not say that it is a model.
    titles = {name: f"{name} ({run.config.algorithm})" for name, run in runs.items()}
    found = [
        replace(at, scores={titles.get(name, name): one for name, one in at.scores.items()})
        for at in found
    ]
    if not json_alone:
        for line in as_lines(config, found, tasks, output.width):
            output.print(line, soft_wrap=True, highlight=False)
    # The results come first: no place for the picture costs them.
    make_folder(picture.parent)
    draw_by_rows(picture, config, found, tasks)
    if not json_alone:
        output.print(f"picture: {picture}", soft_wrap=True)


def _found(runs: Mapping[str, Run], first_dir: Path, tasks: int, errors: Console) -> list[AtRows]:
    first = next(iter(runs.values()))
    reporter: Reporter = Reporter()
    if errors.is_terminal:
        reporter = ProgressBar(errors, first.config, transient=True)
    if first.config.algorithm != "finetune":
        errors.print(f"pooled network: {first_dir / 'rivals' / 'pooled'}", soft_wrap=True)
    pooled = pooled_network(first, first_dir, reporter)
    learners = {
        name: Compared(run.learner, run.config.test_inner_steps)
        for name, run in runs.items()
        if not _is_pooled(run, runs)
    }
    sources = [first.tasks[split] for split in ("train", "val", "test")]
    train, validation, test = (s for s in sources if isinstance(s, TableTasks))
    with counting(errors, f"{tasks} draws for each number of rows", len(ROWS)) as advance:
        found = []
        for at in compare_by_rows(learners, pooled, train, validation, test, tasks):
            found.append(at)
            advance(1)
    if not found:
        raise InputError(
            "no validation and test task has 2 rows: one to adapt on and one to be judged on"
        )
    return found


def _is_pooled(run: Run, runs: Mapping[str, Run]) -> bool:
    """Whether it is the pooled network itself: the first run, where that is ordinary training."""
    return run is next(iter(runs.values())) and run.config.algorithm == "finetune"
