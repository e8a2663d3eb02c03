"""``fewstep recipes``: what can be trained, and what to expect of it."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.table import Table

from fewstep.cli.console import plain_console
from fewstep.cli.options import parse
from fewstep.config import batch_norm
from fewstep.recipes import DEFAULT, RECIPES, Recipe


@dataclass(frozen=True)
class RecipesOptions:
    """List the recipes: data, protocol, expected result."""


def main(arguments: list[str]) -> int:
    """Print one row a recipe."""
    parse(RecipesOptions, "recipes", arguments)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("recipe", "data and protocol", "expected result"):
        table.add_column(heading, overflow="fold")
    for name, recipe in RECIPES.items():
        label = f"{name} (default)" if name == DEFAULT else name
        table.add_row(label, _protocol(recipe), recipe.expected)
    plain_console().print(table)
    return 0


def _protocol(recipe: Recipe) -> str:
    config = recipe.config
    k_shot, q_query = config.shots("test")
    ways = "" if config.data == "sinusoid" else f"{config.n_way}-way "
    steps = "1 inner step" if config.inner_steps == 1 else f"{config.inner_steps} inner steps"
    return (
        f"{recipe.protocol}; {ways}{k_shot}-shot {q_query}-query, {steps} of {config.inner_lr:g}, "
        f"{batch_norm(config, config.norm)}"
    )
