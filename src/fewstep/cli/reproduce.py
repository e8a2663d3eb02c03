"""``fewstep reproduce RECIPE``: run a row of the results table, and hold the result against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from fewstep import choices
from fewstep.cli import train
from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import DataDir, parse
from fewstep.config import limits
from fewstep.config.budgets import DEFAULT, FAST, budgets_of
from fewstep.config.recipes import find_recipe
from fewstep.errors import InputError
from fewstep.published.files import Cell, Measured, of_cell, read_results, results_folder
from fewstep.published.of_run import cell_config, results_of_run
from fewstep.published.papers import PaperFigure, of_paper
from fewstep.published.table import figure_of, percent
from fewstep.published.verdict import MEANING, Verdict, held_against

LOWER = 1
"""The exit status where the result is lower than both intervals explain."""
_DEVIATIONS = 1.96  # of one seed among others: half of what 95% of the seeds lie within


@dataclass(frozen=True)
class ReproduceOptions:
    """Run a row of the table of results, and hold what comes out against it.

    It trains as fewstep train does; the same command again goes on. The exit status is 0 where the
    one model agrees with the table or is higher, and 1 where it is lower than the 95% intervals of
    both explain. A row that was not run yet is held against the paper's figure.
    """

    recipe: Annotated[Positional[str], arg(metavar="RECIPE")]
    """A recipe with budgets (fewstep recipes)."""
    algorithm: Literal["maml", "fomaml", "maml++"] = "maml"
    """How the initialisation is learned."""
    budget: choices.Budget = DEFAULT
    """The shortest schedule, or the paper's own."""
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
    run_dir = options.run_dir or train.usual_run_dir(
        cell_config(recipe, algorithm, budget), options.seed
    )
    train.main(given)
    own = results_of_run(run_dir)
    lines, decides = compared(own, table, figure)
    for line in lines:
        plain_console().print(line, soft_wrap=True, highlight=False)
    error_console().print(MEANING, soft_wrap=True, highlight=False)
    return LOWER if decides.word == "lower" else 0


def compared(
    own: Sequence[Measured], table: Sequence[Measured], figure: PaperFigure | None
) -> tuple[list[str], Verdict]:
    """What came out beside the table and the paper, line by line, and the verdict that decides.

    Args:
        own: Of the run: each norm, of one model and of the average.
        table: Of the same row, perhaps of several seeds; or nothing.
        figure: The paper's; None where it has none. One of both is there.

    Returns:
        The verdict is that of one model, transductively, against the table, or else the paper.
    """
    lines, verdicts = [], []
    seeds = ", ".join(dict.fromkeys(str(one.seed) for one in table))
    for average in (False, True):
        for norm in ("transductive", "inductive"):
            ours = figure_of(own, norm, average=average)
            theirs = figure_of(table, norm, average=average)
            if ours is None:
                continue
            of = "average of the best checkpoints" if average else "one model"
            told = f"{of}, {norm}: {percent(ours)}"
            if theirs is not None:
                verdict = held_against(ours, theirs)
                verdicts.append(verdict)
                told += f"; the table {percent(theirs)}, seed {seeds}: {verdict.told}"
            lines.append(told)
    if figure is not None:
        average = figure.is_average
        ours = figure_of(own, "transductive", average=average)
        if ours is not None:
            # Of one seed against the mean of several, whose ± is their standard deviation.
            wide = _DEVIATIONS if figure.meaning == "deviation" else 1.0
            verdict = held_against(ours, (figure.accuracy, wide * figure.half))
            verdicts.append(verdict)
            lines.append(f"the paper: {figure.shown} ({figure.note}): {verdict.told}")
    if not table:
        lines.append("this row of the table was not run yet: the paper's figure decides")
    lines.append(f"verdict: {verdicts[0].word}")
    return lines, verdicts[0]
