"""``fewstep evaluate RUN_DIR``: evaluate a run on tasks of classes never seen."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from fewstep.choices import Norm, Split
from fewstep.cli.console import error_console, plain_console
from fewstep.cli.launched import use_own_device
from fewstep.cli.options import (
    DataDir,
    InnerSteps,
    Tasks,
    check_picture,
    data_folder,
    parse,
)
from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.limits import Limit, OptionalCount, OptionalSeed
from fewstep.errors import InputError
from fewstep.files import make_folder
from fewstep.training.run_names import check_is_text

if TYPE_CHECKING:
    from fewstep.training.runs import Run

_NORM = arg(metavar="{transductive,inductive}", help_behavior_hint="")

_PICTURE = arg(metavar="PATH", help_behavior_hint="")


@dataclass(frozen=True)
class EvaluateOptions:
    """Accuracy (or error) after 0, 1, ... inner steps, with a 95% interval over tasks."""

    run_dir: Annotated[Positional[Path], arg(metavar="RUN_DIR")]
    """A run directory of fewstep train; an unfinished one is evaluated by its best checkpoint."""
    tasks: Tasks = 600
    """Tasks to evaluate on."""
    inner_steps: InnerSteps = None
    """Most inner steps; those of the run's own test unless given."""
    json: bool = False
    """Print one JSON object and nothing else."""
    picture: Annotated[Path | None, _PICTURE] = None
    """Where to draw how often predictions are right, by how sure they are, as PNG."""
    split: Split = "test"
    """The classes, or the tasks of a table, to evaluate on: those of which part of the split."""
    norm: Annotated[Norm | None, _NORM] = None
    """Statistics of batch norm whose figures are the main ones; those of the run unless given."""
    n_way: OptionalCount = None
    """Classes of a task; those of the run unless given (docs/classes.md)."""
    k_shot: Annotated[OptionalCount, Limit(10_000)] = None
    """Support examples of each class (of the task, in a regression); the run's unless given."""
    q_query: Annotated[OptionalCount, Limit(10_000)] = None
    """Query examples of each class (of the task, in a regression); the run's unless given."""
    seed: OptionalSeed = None
    """Seed of the tasks; that of the run unless given."""
    data_dir: DataDir = None
    """The folder that holds omniglot/, or the new place of a run's own pictures or table."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, ..."""


def main(arguments: list[str]) -> int:
    """Evaluate, and print a table or JSON."""
    options = parse(EvaluateOptions, "evaluate", arguments)
    check_is_text(options.run_dir)
    folder = data_folder(options.data_dir)
    if options.picture:
        check_picture(options.picture)

    from fewstep.cli.results import evaluate, show
    from fewstep.distributed.ranks import joined, ranks
    from fewstep.evaluation.diagnosis import findings
    from fewstep.report.reliability import draw_reliability
    from fewstep.report.summary import summary
    from fewstep.training.calibrate import choose_on_validation
    from fewstep.training.runs import load_run
    from fewstep.training.side_by_side import check_inner_steps, diagnose

    use_own_device(options.device)
    console = error_console()
    sizes = {name: getattr(options, name) for name in ("n_way", "k_shot", "q_query", "seed")}
    run = load_run(options.run_dir, folder, options.device, sizes, moved=options.data_dir)
    if options.picture and run.config.kind != "classification":
        raise InputError(
            f"the picture is of probabilities, and {options.run_dir} has none, as it is a "
            "regression; leave --picture out"
        )
    norm = options.norm or run.config.norm
    algorithm = run.config.algorithm
    if options.inner_steps and ALGORITHMS[algorithm].closed_form:
        raise InputError(
            f"inner_steps is {options.inner_steps}, and {algorithm} solves in closed form, where "
            "more steps change nothing; leave --inner-steps out"
        )
    steps = options.inner_steps or run.config.test_inner_steps
    check_inner_steps({str(options.run_dir): run}, steps)
    missing, chosen, figures = _refusal(run, options.split), None, None
    if missing and options.picture:
        raise InputError(f"{options.picture} needs a temperature from validation tasks: {missing}")
    with joined(run.workers):
        if not missing:
            chosen = choose_on_validation(run, options.tasks, steps, norm)
        results = evaluate(run, options.tasks, steps, norm, options.split, console, chosen)
        if not missing:
            figures = diagnose(run, options.run_dir, steps, norm, options.tasks)
    if not ranks().is_first:
        return 0
    advice = findings(figures) if figures else [f"left out, since {missing}"]
    if options.json:
        told = summary(
            run.config,
            results,
            run.progress,
            options.split,
            figures,
            run.trained,
            command=["fewstep", "evaluate", *arguments],
        )
        print(json.dumps(told | ({"note": run.note} if run.note else {})))
    else:
        show(run.config, results, options.split, advice, plain_console())
        if run.note:
            plain_console().print(f"note: {run.note}", soft_wrap=True)
    # The results come first: no place for the picture costs them.
    if options.picture:
        make_folder(options.picture.parent)
        draw_reliability(options.picture, run.config, results, options.split)
        if not options.json:
            plain_console().print(f"picture: {options.picture}", soft_wrap=True)
    return 0


def _refusal(run: "Run", split: Split) -> str:
    """Why there are no validation tasks of this size, if so; `InputError` where ``split`` has none.

    They tell a temperature and a diagnosis, and an evaluation can do without both.
    """
    _ = run.tasks[split]
    try:
        _ = run.tasks["val"]
    except InputError as error:
        return str(error)
    return ""
