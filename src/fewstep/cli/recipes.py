"""``fewstep recipes``: what can be trained, and what to expect of it."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from fewstep.cli.options import parse
from fewstep.recipes import DEFAULT, RECIPES


@dataclass(frozen=True)
class RecipesOptions:
    """List the recipes: data, protocol, expected result."""


def main(arguments: list[str]) -> int:
    """Print one row a recipe."""
    parse(RecipesOptions, "recipes", arguments)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("recipe", "data", "protocol", "expected"):
        table.add_column(heading, overflow="fold")
    for name, recipe in RECIPES.items():
        label = f"{name} (default)" if name == DEFAULT else name
        table.add_row(label, recipe.config.data, recipe.protocol, recipe.expected)
    Console().print(table)
    return 0
