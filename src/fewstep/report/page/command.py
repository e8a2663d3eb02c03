"""The command that trains a run again, and its settings that are not the usual ones."""

import shlex
from dataclasses import fields
from typing import Any

from fewstep.config.recipes import (
    find_recipe,
    folder_config,
    table_config,
    with_algorithm,
    with_budget,
)
from fewstep.config.schema import Config
from fewstep.errors import InputError

_OF_DATA = ("recipe", "data", "folder", "table")  # told by the first word


def usual(config: Config) -> Config | None:
    """The settings that the recipe, the folder or the table and the algorithm have by themselves.

    Returns:
        None where there is no such recipe, as of another version.
    """
    if config.folder:
        base = folder_config(config.folder)
    elif config.table:
        # What follows from the rows is given in full, so that they need not be read.
        series: dict[str, Any] = {"time": config.time, "window": config.window}
        base = table_config(config.table, config.n_way, **series)
    else:
        try:
            base = find_recipe(config.recipe).config
            # A run of before budgets has none, and is told by how it differs from the usual one.
            base = with_budget(base, config.budget or base.budget)
        except InputError:
            return None
    return with_algorithm(base, config.algorithm)


def differences(config: Config) -> list[tuple[str, Any, Any]]:
    """The settings that differ from the usual ones: name, usual value, that of the run.

    >>> from dataclasses import replace
    >>> differences(replace(find_recipe("sinusoid").config, steps=10))
    [('steps', 70000, 10)]
    """
    base = usual(config)
    if base is None:
        return []
    both = (
        (f.name, getattr(base, f.name), getattr(config, f.name))
        for f in fields(Config)
        if f.name not in (*_OF_DATA, "algorithm", "budget")
    )
    return [(name, before, own) for name, before, own in both if before != own]


def command(config: Config) -> str | None:
    """The command line that trains by these settings; None where the recipe is there no more.

    >>> from dataclasses import replace
    >>> command(replace(find_recipe("sinusoid").config, steps=10, rotations=True))
    'fewstep train sinusoid --rotations --steps 10'
    >>> command(with_budget(find_recipe("omniglot-5way-1shot").config, "paper"))
    'fewstep train omniglot-5way-1shot --budget paper'
    """
    base = usual(config)
    if base is None:
        return None
    words = ["fewstep", "train", config.folder or config.table or config.recipe]
    plain = with_algorithm_of_itself(config)
    if config.algorithm != plain:
        words += ["--algorithm", config.algorithm]
    if base.budget and base.budget != find_recipe(config.recipe).config.budget:
        words += ["--budget", base.budget]
    for name, _, value in differences(config):
        # A table has the classes of its target.
        if not (config.table and name == "n_way"):
            words += option(name, value)
    if config.table:
        told = (("time", config.time), ("window", config.window))
        words += [word for name, v in told if v is not None for word in (f"--{name}", str(v))]
    return shlex.join(words)


def option(name: str, value: Any) -> list[str]:
    """The words that give a setting on a command line.

    >>> option("inner_lr", 0.4), option("rotations", False)
    (['--inner-lr', '0.4'], ['--no-rotations'])
    """
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]


def with_algorithm_of_itself(config: Config) -> str:
    """The algorithm that the recipe, the folder or the table has by itself."""
    if config.folder:
        return folder_config(config.folder).algorithm
    if config.table:
        return table_config(config.table, config.n_way).algorithm
    return find_recipe(config.recipe).config.algorithm
