"""``fewstep recipes``: what can be trained, and what to expect of it."""

from dataclasses import dataclass

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fewstep.cli.console import plain_console
from fewstep.cli.options import parse
from fewstep.config.algorithms import steps_in_words
from fewstep.config.recipes import DEFAULT, RECIPES, Recipe
from fewstep.config.schema import batch_norm

NARROW = 60
"""Below so many columns of the terminal a table has no room for its text."""


@dataclass(frozen=True)
class RecipesOptions:
    """List the recipes: data, protocol, expected result."""


def main(arguments: list[str]) -> int:
    """Print one row a recipe, or on a narrow terminal one paragraph."""
    parse(RecipesOptions, "recipes", arguments)
    console = plain_console()
    rows = [
        (f"{name} (default)" if name == DEFAULT else name, _protocol(recipe), recipe.expected)
        for name, recipe in RECIPES.items()
    ]
    if console.width < NARROW:
        for name, *rest in rows:
            console.print(Text(name, overflow="fold"))
            for text in rest:
                console.print(Padding(text, (0, 0, 0, 2)))
        return 0
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("recipe", no_wrap=True)
    for heading in ("data and protocol", "expected result"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    return 0


def _protocol(recipe: Recipe) -> str:
    config = recipe.config
    k_shot, q_query = config.shots("test")
    ways = f"{config.n_way}-way " if config.kind == "classification" else ""
    steps = steps_in_words(config.algorithm, config.inner_steps)
    return (
        f"{recipe.protocol}; {ways}{k_shot}-shot {q_query}-query, {steps} of {config.inner_lr:g}, "
        f"{batch_norm(config, config.norm)}"
    )
