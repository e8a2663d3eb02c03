"""Runs of a table beside ordinary models, by the rows of the new task."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from fewstep.cli.progress import ProgressBar
from fewstep.data.tables.tasks import TableTasks
from fewstep.errors import InputError
from fewstep.evaluation.by_rows import AtRows
from fewstep.evaluation.rivals.of_tables import DESCRIBED
from fewstep.evaluation.table_rivals import ROWS, Compared, compare_by_rows
from fewstep.files import make_folder
from fewstep.report.by_rows import as_json, as_lines
from fewstep.report.rows_picture import draw_by_rows
from fewstep.training.pooled import pooled_network
from fewstep.training.reporter import Reporter
from fewstep.training.runs import Run


def compare_tables(
    runs: Mapping[str, Run],
    first_dir: Path,
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
    found = _found(runs, first_dir, tasks, errors)
    config = next(iter(runs.values())).config
    if json_alone:
        print(json.dumps(as_json(config, found, tasks)))
    else:
        for line in as_lines(config, found, tasks, output.width):
            output.print(line, soft_wrap=True, highlight=False)
    # The results come first: no place for the picture costs them.
    make_folder(picture.parent)
    draw_by_rows(picture, config, found, tasks)
    if not json_alone:
        output.print(f"picture: {picture}", soft_wrap=True)


def _found(runs: Mapping[str, Run], first_dir: Path, tasks: int, errors: Console) -> list[AtRows]:
    first = next(iter(runs.values()))
    reporter: Reporter = ProgressBar(errors, first.config) if errors.is_terminal else Reporter()
    if first.config.algorithm != "finetune":
        errors.print(f"pooled network: {first_dir / 'rivals' / 'pooled'}", soft_wrap=True)
    pooled = pooled_network(first, first_dir, reporter)
    learners = {
        name: Compared(run.learner, run.config.test_inner_steps)
        for name, run in runs.items()
        # That of the first run is the pooled network itself.
        if run is not first or run.config.algorithm != "finetune"
    }
    sources = [first.tasks[split] for split in ("train", "val", "test")]
    train, validation, test = (s for s in sources if isinstance(s, TableTasks))
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(f"{tasks} draws for each number of rows", total=len(ROWS))
        found = []
        for at in compare_by_rows(learners, pooled, train, validation, test, tasks):
            found.append(at)
            bar.advance(task)
    if not found:
        raise InputError(
            "no validation and test task has 2 rows: one to adapt on and one to be judged on"
        )
    return found
