"""``fewstep compare RUN_DIR RUN_DIR ...``: adaptation curves side by side."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import (
    DataDir,
    Tasks,
    check_picture,
    data_folder,
    parse,
)
from fewstep.config.limits import Limit, OptionalCount
from fewstep.files import make_folder
from fewstep.training.run_names import named_runs

_PATHS = arg(metavar="PATH ...", help_behavior_hint="")
STEPS = 10
"""Inner steps where none are asked for."""


@dataclass(frozen=True)
class CompareOptions:
    """Evaluate runs on the same tasks, beside a random initialisation: table and picture.

    A pre-trained network (--algorithm finetune) is fine-tuned as a whole, and in its new last layer
    alone. Runs of a table are compared with ordinary models on the same rows, by how many rows the
    new task has: pooled and fine-tuned networks, mixed effects, ridge, mean. The pooled network is
    trained for that, and kept in RUN_DIR/rivals.
    """

    run_dirs: Annotated[Positional[tuple[Path, ...]], _PATHS]
    """Run directories of fewstep train whose tasks are of the same kind."""
    tasks: Tasks = 600
    """Tasks to evaluate on."""
    inner_steps: Annotated[OptionalCount, Limit(10_000)] = None
    """Most inner steps; 10 unless given, or fewer if a run learned its steps one by one. Of a table
    as many as in the test of the run."""
    picture: Path = Path("comparison.png")
    """Where to write the adaptation curves as PNG."""
    json: bool = False
    """Print one JSON object and nothing else."""
    data_dir: DataDir = None
    """The folder that holds omniglot/, or the new place of a run's own pictures or table."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, ..."""


def main(arguments: list[str]) -> int:
    """Evaluate all runs; print a table or JSON; draw the picture."""
    options = parse(CompareOptions, "compare", arguments)
    paths = named_runs(options.run_dirs)
    folder = data_folder(options.data_dir)
    # Now, since all runs are evaluated before it is drawn.
    check_picture(options.picture)

    from fewstep.cli.results import evaluate
    from fewstep.config.schema import has_batch_norm
    from fewstep.distributed.ranks import joined
    from fewstep.report.pictures import draw_curves
    from fewstep.report.summary import summary
    from fewstep.report.table import ScoreTable, protocol
    from fewstep.training.runs import load_run
    from fewstep.training.side_by_side import (
        check_comparable,
        check_inner_steps,
        steps_for_all,
        untrained,
        ways_to_adapt,
    )

    runs = {
        name: load_run(path, folder, options.device, moved=options.data_dir)
        for name, path in paths.items()
    }
    check_comparable(runs)
    if next(iter(runs.values())).config.table:
        from fewstep.cli.compare_tables import compare_tables

        consoles = plain_console(), error_console()
        given = runs, options.run_dirs, options.tasks, options.picture
        compare_tables(*given, *consoles, json_alone=options.json)
        return 0
    steps = options.inner_steps or steps_for_all(runs.values(), STEPS)
    check_inner_steps(runs, steps)
    starts = ways_to_adapt(runs)
    first = next(iter(starts.values()))
    starts["random"] = untrained(first)
    # The norm is told of those that have one, and of the others that they have none.
    normed = [name for name, run in starts.items() if has_batch_norm(run.config)]
    told = normed[0] if normed else next(iter(starts))
    config, output, errors = starts[told].config, plain_console(), error_console()
    with joined(max(run.workers for run in starts.values())):
        results = {
            name: evaluate(run, options.tasks, steps, config.norm, "test", errors)
            for name, run in starts.items()
        }
    shown = {
        f"{name}, no batch norm" if normed and name not in normed else name: result
        for name, result in results.items()
    }
    if options.json:
        command = ["fewstep", "compare", *arguments]
        summaries = {
            name: summary(run.config, results[name], run.progress, "test", command=command)
            for name, run in starts.items()
        }
        summaries["random"]["algorithm"] = "none"
        print(json.dumps(summaries))
    else:
        output.print(ScoreTable(shown), crop=False)
        output.print(protocol(config, results[told], "test"), soft_wrap=True)
    # The results come first: no place for the picture costs them.
    make_folder(options.picture.parent)
    draw_curves(options.picture, config, shown)
    if not options.json:
        output.print(f"picture: {options.picture}", soft_wrap=True)
    return 0
