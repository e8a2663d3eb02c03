"""``fewstep reproduce RECIPE``: run a row of the results table, and hold the result against it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fewstep import choices
from fewstep.cli import train
from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import DataDir, parse
from fewstep.config import limits
from fewstep.config.budgets import DEFAULT, FAST, budgets_of
from fewstep.config.recipes import find_recipe
from fewstep.errors import InputError
from fewstep.published.comparison import compared, expected_of
from fewstep.published.files import Algorithm, Cell, of_cell, read_results, results_folder
from fewstep.published.of_run import cell_config, results_of_run
from fewstep.published.papers import of_paper
from fewstep.published.verdict import MEANING

LOWER = 1
"""The exit status where the result is lower than both intervals explain."""


@dataclass(frozen=True)
class ReproduceOptions:
    """Run a row of the table of results, and hold what comes out against it.

    It trains as fewstep train does, all outer steps of the row; the same command again goes on. The
    exit status is 0 where the one model agrees with the table or is higher, and 1 where it is lower
    than the 95% intervals of both explain. A row that was not run yet is held against the paper's
    figure, of one model or the average of checkpoints, whichever that is.
    """

    recipe: Annotated[Positional[str], arg(metavar="RECIPE")]
    """A recipe with budgets (fewstep recipes)."""
    algorithm: Algorithm = "maml"
    """How the initialisation is learned."""
    budget: choices.Budget = DEFAULT
    """A short schedule, or the paper's own."""
    seed: limits.Seed = 0
    """Of the run; the table's rows say which they have."""
    run_dir: Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")] = None
    """Where the run is kept; as of fewstep train unless given."""
    data_dir: DataDir = None
    """The folder that holds omniglot/, mini-imagenet/ ...; FEWSTEP_DATA's unless given."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, ..."""


def main(arguments: list[str]) -> int:
    """Train the row, test it, and tell whether it agrees."""
    options = parse(ReproduceOptions, "reproduce", arguments)
    recipe, algorithm, budget = options.recipe, options.algorithm, options.budget
    find_recipe(recipe)
    if not budgets_of(recipe):
        raise InputError(
            f"the table of results has no row of {recipe}; choose one of {', '.join(FAST)}, or "
            f"train it: fewstep train {recipe}"
        )
    # Before hours of training: a file may be damaged.
    table = of_cell(Cell(recipe, algorithm, budget), read_results(results_folder()))
    figure = of_paper(recipe, algorithm)
    if not table and figure is None:
        raise InputError(
            f"neither the table nor a paper has a result of {recipe} with {algorithm}; train it: "
            f"fewstep train {recipe} --algorithm {algorithm} --budget {budget}"
        )
    given = [recipe, "--algorithm", algorithm, "--budget", budget, "--seed", str(options.seed)]
    given += ["--device", options.device]
    for name, value in (("--run-dir", options.run_dir), ("--data-dir", options.data_dir)):
        given += [name, str(value)] if value is not None else []
    config = cell_config(recipe, algorithm, budget)
    run_dir = options.run_dir or train.usual_run_dir(config, options.seed)
    error_console().print(
        f"the result of {config.steps:,} outer steps will be held against "
        f"{expected_of(table, figure)}",
        soft_wrap=True,
        highlight=False,
    )
    train.main(given)
    own = results_of_run(run_dir)
    lines, decides = compared(own, table, figure)
    for line in lines:
        plain_console().print(line, soft_wrap=True, highlight=False)
    error_console().print(MEANING, soft_wrap=True, highlight=False)
    return LOWER if decides.word == "lower" else 0
