"""``fewstep evaluate RUN_DIR``: judge a run on tasks of classes never seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import check_counts, check_is_text, data_folder, parse


@dataclass(frozen=True)
class EvaluateOptions:
    """Accuracy (or error) after 0, 1, ... inner steps, with a 95% interval over tasks.

    Attributes:
        run_dir: A run directory of fewstep train; an unfinished one is judged by its best
            checkpoint so far.
        tasks: How many tasks.
        inner_steps: Most inner steps; the config's test_inner_steps unless given.
        norm: Which statistics of batch norm come first, and are the main figures in JSON and those
            of the diagnosis; the config's unless given.
        split: Which classes the tasks are from.
        json: Print one JSON object and nothing else.
        data_dir: The folder that holds omniglot/: that of the variable FEWSTEP_DATA unless given.
        device: Where to compute: cpu, cuda, ...
    """

    run_dir: tyro.conf.Positional[Path]
    tasks: int = 600
    inner_steps: int | None = None
    norm: Literal["transductive", "inductive"] | None = None
    split: Literal["test", "val", "train"] = "test"
    json: bool = False
    data_dir: Path | None = None
    device: str = "cpu"


def main(arguments: list[str]) -> int:
    """Judge, and print a table or JSON."""
    options = parse(EvaluateOptions, "evaluate", arguments)
    check_counts(options.tasks, options.inner_steps)
    check_is_text(options.run_dir)
    data_dir = data_folder(options.data_dir)

    from fewstep.cli.judge import judge
    from fewstep.report.diagnosis import diagnosis_lines
    from fewstep.report.summary import summary
    from fewstep.report.table import ScoreTable, protocol
    from fewstep.training.runs import check_inner_steps, diagnose, load_run

    console = error_console()
    run = load_run(options.run_dir, data_dir, options.device)
    norm = options.norm or run.config.norm
    steps = options.inner_steps or run.config.test_inner_steps
    check_inner_steps({str(options.run_dir): run}, steps)
    results = judge(run, options.tasks, steps, norm, options.split, console)
    figures = diagnose(run, options.run_dir, steps, norm, options.tasks)
    if options.json:
        print(json.dumps(summary(run.config, results, run.progress, options.split, figures)))
        return 0
    output = plain_console()
    output.print(ScoreTable(run.config, {run.config.algorithm: results}), crop=False)
    output.print(protocol(run.config, results, options.split), soft_wrap=True)
    for line in diagnosis_lines(figures):
        output.print(line, soft_wrap=True)
    return 0
