"""``fewstep train RECIPE``: meta-train, then judge on classes never seen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import tyro

from fewstep.cli.console import error_console
from fewstep.cli.options import check_is_text, data_folder, parse
from fewstep.config.effects import check_effects
from fewstep.config.ranges import check_limits
from fewstep.config.recipes import DEFAULT, RECIPES, find_recipe, with_algorithm
from fewstep.config.schema import Config
from fewstep.errors import InputError


@dataclass(frozen=True)
class TrainOptions:
    """Meta-train a recipe, then judge it on test classes. The same command again goes on.

    fewstep recipes lists the recipes. Without one it is glyphs-5way-1shot.

    Attributes:
        config: What decides the result; the defaults are the recipe's.
        run_dir: Where the run is kept: runs/RECIPE-ALGORITHM-seedN unless given.
        data_dir: The folder that holds omniglot/: that of the variable FEWSTEP_DATA unless given.
    """

    config: tyro.conf.OmitArgPrefixes[Config]
    run_dir: Path | None = None
    data_dir: Path | None = None


def main(arguments: list[str]) -> int:
    """Train and judge."""
    options, defaults = _options(arguments)
    config, data_dir = options.config, data_folder(options.data_dir)
    run_dir = options.run_dir or Path(
        "runs", f"{config.recipe}-{config.algorithm}-seed{config.seed}"
    )
    check_is_text(run_dir)
    if not (run_dir / "config.json").exists():
        # One that goes on may hold what an earlier version took.
        check_limits(vars(config))
        check_effects(config, defaults)
    console = error_console()
    console.print(f"{config.recipe}, {config.algorithm}: {run_dir}", soft_wrap=True)

    # After the flags are read, so that a mistake in them is told at once.
    from fewstep.cli.judge import final_test
    from fewstep.cli.progress import ProgressBar
    from fewstep.training.runs import trained

    with trained(config, run_dir, data_dir, ProgressBar(console, config)) as run:
        final_test(run, run_dir, console)
    return 0


def _options(arguments: list[str]) -> tuple[TrainOptions, Config]:
    """The flags over the settings of the recipe and of the algorithm, and those settings."""
    named = bool(arguments) and not arguments[0].startswith("-")
    late = [word for before, word in pairwise(arguments) if _is_recipe(word, before)]
    if late and not named:
        raise InputError(f"the recipe comes first: fewstep train {late[0]} ...")
    recipe = find_recipe(arguments[0] if named else DEFAULT).config
    flags = arguments[1:] if named else arguments
    command = f"train {recipe.recipe}" if named else "train [RECIPE]"
    algorithm = parse(TrainOptions, command, flags, TrainOptions(recipe)).config.algorithm
    defaults = with_algorithm(recipe, algorithm)
    return parse(TrainOptions, command, flags, TrainOptions(defaults)), defaults


def _is_recipe(word: str, before: str) -> bool:
    """Whether a word stands for a recipe, and not for the value of the flag before it."""
    return word in RECIPES and (not before.startswith("--") or "=" in before)
