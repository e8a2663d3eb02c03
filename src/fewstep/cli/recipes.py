"""``fewstep recipes``: what can be trained, what to expect of it, and by what protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, arg

from fewstep.cli.console import plain_console
from fewstep.cli.options import parse
from fewstep.config.algorithms import steps_in_words
from fewstep.config.budgets import BUDGETS, budgets_of
from fewstep.config.recipes import DEFAULT, RECIPES, Recipe, find_recipe
from fewstep.config.schema import batch_norm
from fewstep.errors import InputError
from fewstep.published.files import (
    NORMS,
    Algorithm,
    Cell,
    ResultFile,
    of_cell,
    read_results,
    results_folder,
)
from fewstep.published.of_run import cell_config, command
from fewstep.published.papers import of_paper
from fewstep.published.protocols import protocol_of
from fewstep.published.table import NOT_RUN, accuracy

NARROW = 60
"""Below so many columns of the terminal a table has no room for its text."""


@dataclass(frozen=True)
class RecipesOptions:
    """List the recipes: data, protocol, expected result. With a name, the protocol of that one."""

    name: Annotated[Positional[str | None], arg(metavar="RECIPE", help_behavior_hint="")] = None
    """A recipe whose protocol is told beside the paper's: where it departs, and why."""
    algorithm: Algorithm = "maml"
    """Whose paper."""


def main(arguments: list[str]) -> int:
    """Print one row a recipe, or the protocol of one; on a narrow terminal in paragraphs."""
    options = parse(RecipesOptions, "recipes", arguments)
    every, console = read_results(results_folder()), plain_console()
    if options.name is not None:
        _tell_one(options.name, options.algorithm, every, console)
        return 0
    if options.algorithm != "maml":
        raise InputError(
            f"algorithm is {options.algorithm} without a recipe; give one, as in fewstep recipes "
            f"omniglot-5way-1shot --algorithm {options.algorithm}"
        )
    rows = [
        (f"{name} (default)" if name == DEFAULT else name, _protocol(recipe), expected(name, every))
        for name, recipe in RECIPES.items()
    ]
    _print(console, ("recipe", "data and protocol", "expected result"), rows)
    return 0


def expected(name: str, every: Sequence[ResultFile]) -> str:
    """The result of a recipe: what was measured with MAML, and the paper's figure."""
    recipe, figure = RECIPES[name], of_paper(name, "maml")
    if recipe.config.budget is None or figure is None:
        return recipe.expected
    found = of_cell(Cell(name, "maml", recipe.config.budget), every)
    measured = f"{accuracy(found, recipe.config.norm, average=False)} %" if found else NOT_RUN
    return f"{measured} (paper: {figure.shown} %)"


def _tell_one(name: str, algorithm: str, every: Sequence[ResultFile], console: Console) -> None:
    recipe = find_recipe(name)
    if not budgets_of(name):
        if algorithm != "maml":
            raise InputError(
                f"algorithm is {algorithm}, and {name} has one schedule, without the protocol of "
                "a paper beside it; leave it out"
            )
        console.print(f"{name}: {_protocol(recipe)}; {recipe.expected}", soft_wrap=True)
        return
    figure = of_paper(name, algorithm)
    paper = f"{figure.shown} ({figure.source}; {figure.note})" if figure else "without a figure"
    told = [f"{name}, {algorithm}: accuracy in %, paper {paper}"]
    for budget in BUDGETS:
        found = of_cell(Cell(name, algorithm, budget), every)
        norms = [f"{accuracy(found, n, average=False)} {n}" for n in NORMS]
        measured = ", ".join(norms) if found else NOT_RUN
        told.append(f"{budget}: {measured}; {command(cell_config(name, algorithm, budget))}")
    for line in told:
        console.print(line, soft_wrap=True, highlight=False)
    rows = [
        (line.what, line.paper, *line.budgets, line.why) for line in protocol_of(name, algorithm)
    ]
    _print(console, ("", "paper", *(f"--budget {b}" for b in BUDGETS), "why it departs"), rows)


def _print(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if console.width < NARROW:
        for name, *rest in rows:
            console.print(Text(name, overflow="fold"))
            for heading, text in zip(headings[1:], rest, strict=True):
                # Of the list it is plain what they are.
                told = f"{heading}: {text}" if len(rest) > 2 else text
                console.print(Padding(told, (0, 0, 0, 2)))
        return
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(headings[0], no_wrap=len(headings) == 3, overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _protocol(recipe: Recipe) -> str:
    config = recipe.config
    k_shot, q_query = config.shots("test")
    ways = f"{config.ways('test')}-way " if config.kind == "classification" else ""
    steps = steps_in_words(config.algorithm, config.inner_steps)
    budget = "; budgets fast and paper" if config.budget else ""
    return (
        f"{recipe.protocol}; {ways}{k_shot}-shot {q_query}-query, {steps} of {config.inner_lr:g}, "
        f"{batch_norm(config, config.norm)}{budget}"
    )
