"""The page of results, made from ``results/*.json`` and from nothing else."""

from collections.abc import Iterable, Sequence

from fewstep.config.budgets import BUDGETS, FAST
from fewstep.published.files import ALGORITHMS, NORMS, Cell, ResultFile, of_cell
from fewstep.published.of_run import cell_config
from fewstep.published.papers import of_paper
from fewstep.published.protocols import Item, merged
from fewstep.published.verdict import together

NOT_RUN = "not run"
_HEADING = (
    *("algorithm, budget", "transductive", "inductive", "average of 5, transductive"),
    *("average of 5, inductive", "calibration error", "paper"),
)
_INTRODUCTION = """# Results

<!-- Written by `python -m scripts.results` from results/*.json: do not edit. -->

Accuracy in % on classes never seen, ± half the 95% interval over test tasks, after the last inner
step. **transductive** and **inductive** are of one model: batch norm on the query pictures uses
their own statistics, as in the papers, or those of the support pictures, so that a picture is
judged by itself; without batch norm, as in the fast budget of Omniglot, the two are equal.
**average of 5** is the mean of the logits of the five checkpoints that were best in validation, as
MAML++ reports it: its column stands beside such figures of papers. **calibration error**: the
expected calibration error of the single model, in percentage points, transductive / inductive.
The time below a table is that of the training with its validations, added up over restarts. Of
several seeds it is the mean, and accuracies are means over seeds, with an interval over all their
tasks.

A test has 600 tasks or more, with K query pictures of each class, K being the shots, as in the MAML
paper: with transductive batch norm they are normalised together, so their number is part of the
protocol. What each budget does otherwise than its paper, and why: `fewstep recipes NAME`, and for
Omniglot [on its page](omniglot.md#protocol). By the fast budget of Omniglot MAML++ is MAML's
training with twice the outer steps, and the cells of an algorithm are one training, tested in tasks
of other sizes. `fewstep reproduce RECIPE --algorithm A --budget B` runs a row and holds the result
against it.
"""


def results_page(every: Sequence[ResultFile]) -> str:
    """The text of the page: a section for each recipe, a row for each algorithm and budget."""
    return "\n".join([_INTRODUCTION, *(_section(recipe, every) for recipe in FAST)])


def _section(recipe: str, every: Sequence[ResultFile]) -> str:
    every_cell = [Cell(recipe, algorithm, budget) for algorithm in ALGORITHMS for budget in BUDGETS]
    found = {cell: results for cell in every_cell if (results := of_cell(cell, every))}
    missing = [cell for cell in every_cell if cell not in found]
    lines = [f"## {recipe}", ""]
    if found:
        lines += [*markdown(_HEADING, [_row(*each) for each in found.items()]), ""]
    if missing:
        lines += [f"Not run: {'; '.join(_planned(cell) for cell in missing)}.", ""]
    papers = [_of_paper(recipe, algorithm) for algorithm in ALGORITHMS]
    return "\n".join([*lines, *[_run(*each) for each in found.items()], *papers, ""])


def _planned(cell: Cell) -> str:
    return f"{cell.algorithm}, {cell.budget} ({cell_config(*cell).steps:,} outer steps)"


def _run(cell: Cell, found: Sequence[ResultFile]) -> str:
    single = _single(found)
    seconds = [one.wall_seconds for one in single if one.norm == single[0].norm]
    seeds = list(dict.fromkeys(str(one.seed) for one in single))
    told = [
        f"`{single[0].command}`",
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}",
        f"{_each(f'{one.tasks:,}' for one in single)} test tasks",
        f"{_each(f'{one.outer_steps:,}' for one in single)} outer steps",
        f"{duration(sum(seconds) / len(seconds))} on {_each(one.device for one in single)}",
        f"commit {_each(one.commit or 'not known' for one in single)}",
    ]
    return f"- {cell.algorithm}, {cell.budget}: {'; '.join(told)}."


def _of_paper(recipe: str, algorithm: str) -> str:
    figure = of_paper(recipe, algorithm)
    if figure is None:
        return f"- {algorithm} in papers: no figure is known here."
    return (
        f"- {algorithm} in papers: {figure.shown} in {figure.source}: {figure.protocol}; "
        f"{figure.note}."
    )


def _single(found: Sequence[ResultFile]) -> Sequence[ResultFile]:
    return [one for one in found if one.models == 1] or found


def _row(cell: Cell, found: Sequence[ResultFile]) -> list[str]:
    figure = of_paper(cell.recipe, cell.algorithm)
    paper = _marked(figure.shown, figure.known) if figure else "not known here"
    errors = [_error(_single(found), norm) for norm in NORMS]
    of_norms = [accuracy(found, norm, average=a) for a in (False, True) for norm in NORMS]
    return [f"{cell.algorithm}, {cell.budget}", *of_norms, " / ".join(errors), paper]


def figure_of(
    found: Sequence[ResultFile], norm: str, *, average: bool
) -> tuple[float, float] | None:
    """Accuracy and half its interval over all seeds; None where it was not measured."""
    of_norm = [one.figure for one in found if one.norm == norm and (one.models > 1) == average]
    return together(of_norm) if of_norm else None


def accuracy(found: Sequence[ResultFile], norm: str, *, average: bool) -> str:
    """Accuracy and half its interval over all seeds, in percent; `NOT_RUN` if not measured."""
    figure = figure_of(found, norm, average=average)
    return NOT_RUN if figure is None else percent(figure)


def percent(figure: tuple[float, float]) -> str:
    """An accuracy and half its interval in percent.

    >>> percent((0.98714, 0.0031))
    '98.71 ± 0.31'
    """
    return f"{100 * figure[0]:.2f} ± {100 * figure[1]:.2f}"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(1475), duration(52_000)
    ('25 min', '14 h 27 min')
    """
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _marked(shown: str, known: str) -> str:
    marks = {"read": "", "quoted": " (quoted)", "memory": " (from memory)"}
    return shown + marks[known]


def _error(single: Sequence[ResultFile], norm: str) -> str:
    errors = [one.calibration_error for one in single if one.norm == norm]
    numbers = [error for error in errors if error is not None]
    return f"{100 * sum(numbers) / len(numbers):.2f}" if numbers else "–"


def _each(values: Iterable[str]) -> str:
    """Values of several runs, each once."""
    return ", ".join(dict.fromkeys(values))


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def protocol_table(lines: Sequence[Item], paper: str) -> list[str]:
    """A protocol as the lines of a table."""
    heading = ["", paper, *(f"`--budget {budget}`" for budget in BUDGETS), "why it departs"]
    rows = [[line.what, line.paper, *line.budgets, line.why] for line in lines]
    return markdown(heading, rows)


def omniglot_protocol() -> str:
    """The part of the page on Omniglot that tells its protocol."""
    recipes = [recipe for recipe in FAST if recipe.startswith("omniglot")]
    parts = [
        "MAML; first order is the same but for the derivative of the inner loop:",
        "",
        *protocol_table(merged(recipes, "maml"), "MAML paper"),
        "",
        "MAML++, whose figures are those of its authors' program:",
        "",
        *protocol_table(merged(recipes, "maml++"), "MAML++ paper"),
    ]
    return "\n".join(parts)
