"""``fewstep train RECIPE|FOLDER|TABLE``: meta-train, then evaluate on tasks never seen."""

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from fewstep.cli.console import error_console
from fewstep.cli.first_word import kind_of
from fewstep.cli.launched import use_own_device
from fewstep.cli.options import data_folder, parse
from fewstep.config import groups, limits
from fewstep.config.effects import check_effects
from fewstep.config.file import read_config, remembered_folder
from fewstep.config.limits import check_numbers
from fewstep.config.recipes import (
    DEFAULT,
    RECIPES,
    find_recipe,
    folder_config,
    table_config,
    with_algorithm,
    with_budget,
)
from fewstep.config.registry import OF_TABLES
from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.training.run_names import check_is_text

_HELP = {"-h", "--help"}
_OF_RUNS = ("run_dir", "search", "seeds")  # no settings of a config


@dataclass(frozen=True)
class TrainOptions:
    """Meta-train a recipe, then evaluate it on test classes. The same command again goes on.

    fewstep recipes lists the recipes. Without one it is glyphs-5way-1shot. Defaults are those of
    the recipe and the algorithm. In the place of a recipe may stand a folder of pictures, with one
    subfolder for each class; a table, as in fewstep train exams.csv --task school --target score;
    or a folder of tables, each a task: the defaults then depend on the data; add --help to see
    them.
    """

    tasks: OmitArgPrefixes[groups.Task]
    network: OmitArgPrefixes[groups.Network]
    adaptation: OmitArgPrefixes[groups.Adaptation]
    outer_loop: OmitArgPrefixes[groups.OuterLoop]
    evaluation: OmitArgPrefixes[groups.Evaluation]
    machine: OmitArgPrefixes[groups.Machine]
    specialist: OmitArgPrefixes[groups.Specialist]
    run_dir: Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")] = None
    """Where the run is kept: runs/RECIPE-ALGORITHM-BUDGET-seedN or runs/NAME of own data unless
    given."""
    search: Annotated[limits.Number, limits.Limit(1000)] = 0
    """Try so many configurations for a quarter of the steps, and train what validation favours."""
    seeds: Annotated[limits.Count, limits.Limit(1000)] = 1
    """Train with so many seeds, on one split of the data, and tell mean and spread of the tests."""

    @property
    def config(self) -> Config:
        """All settings together."""
        given = [getattr(self, field.name) for field in fields(self) if field.name not in _OF_RUNS]
        return Config(**{name: value for group in given for name, value in vars(group).items()})

    @property
    def kept_in(self) -> Path:
        """The run directory."""
        if self.run_dir is not None:
            return self.run_dir
        if self.tasks.folder is not None:
            return Path("runs", Path(self.tasks.folder).name or "folder")
        if self.tasks.table is not None:
            return Path("runs", self.config.data_name)
        return usual_run_dir(self.config, None if self.seeds > 1 else self.outer_loop.seed)

    @property
    def first_run(self) -> Path:
        """The run directory of the first seed."""
        return self.kept_in / f"seed{self.outer_loop.seed}" if self.seeds > 1 else self.kept_in


def usual_run_dir(config: Config, seed: int | None) -> Path:
    """Where a run of a recipe is kept unless told otherwise; of several seeds, their folder."""
    of_budget = f"-{config.budget}" if config.budget else ""
    of_seed = "" if seed is None else f"-seed{seed}"
    return Path("runs", f"{config.recipe}-{config.algorithm}{of_budget}{of_seed}")


def main(arguments: list[str]) -> int:
    """Train and evaluate."""
    options, defaults = _options(arguments)
    config = options.config
    folder = data_folder(config.data_dir)
    run_dir = options.kept_in
    check_is_text(run_dir)
    saved = options.first_run / "config.json"
    if not saved.exists():
        # One that goes on may hold what an earlier version took.
        check_numbers(config, least=0)
        check_effects(config, replace(defaults, data_dir=config.data_dir))
    console = error_console()
    if not arguments or arguments[0].startswith("-"):
        console.print(f"no recipe given, so {DEFAULT} (fewstep recipes lists them)")
    name = config.folder or config.table or config.recipe
    console.print(f"{name}, {config.algorithm}: {run_dir}", soft_wrap=True)
    of_run = read_config(saved) if saved.exists() else config
    config = replace(config, data_dir=remembered_folder(options.first_run, folder, of_run))

    # After the flags are read, so that a mistake in them is told at once.
    from fewstep.cli.one_run import train_and_test

    use_own_device(config.device)
    train = partial(train_and_test, command=["fewstep", "train", *arguments])
    if options.search or options.seeds > 1:
        from fewstep.cli import search

        search.check_may_hold(run_dir, options.search, options.seeds)
        if options.search:
            given = partial(_is_given, arguments)
            command = ["fewstep", "train", *_without("search", arguments)]
            config = search.search(config, run_dir, options.search, given, console, command)
        if options.seeds > 1:
            search.repeat(config, run_dir, options.seeds, console, train)
            return 0
    train(config, run_dir, console)
    return 0


def _options(arguments: list[str]) -> tuple[TrainOptions, Config]:
    """The flags over the settings of the recipe and of the algorithm, and those settings."""
    named = bool(arguments) and not arguments[0].startswith("-")
    late = [word for before, word in pairwise(arguments) if _is_recipe(word, before)]
    if late and not named:
        raise InputError(f"the recipe comes first: fewstep train {late[0]} ...")
    flags = arguments[1:] if named else arguments
    of_table = frozenset(name for name in OF_TABLES if _is_given(flags, name))
    kind = kind_of(arguments[0], of_table) if named else "recipe"
    named_command = f"train {shlex.quote(arguments[0])}" if named else ""
    if kind == "table":
        if _is_given(flags, "n_way"):
            raise InputError(
                "n_way is given, and a table has the classes of its target; leave it out"
            )
        # A network that suits series, before it is read what they are.
        is_series = _is_given(flags, "window") and _is_given(flags, "time")
        series: dict[str, Any] = {"time": "", "window": 1} if is_series else {}
        recipe, command = table_config(os.path.abspath(arguments[0]), **series), named_command
    elif kind == "folder":
        recipe, command = folder_config(os.path.abspath(arguments[0])), named_command
    else:
        recipe = find_recipe(arguments[0] if named else DEFAULT).config
        command = named_command if named else "train [RECIPE]"
    if _HELP & {*flags}:
        _show_help(command, flags, recipe)
    return _with_defaults(command, flags, recipe)


def _with_defaults(command: str, flags: list[str], recipe: Config) -> tuple[TrainOptions, Config]:
    """The flags over the settings of a recipe or of what is in the data, and those settings."""
    first = parse(TrainOptions, command, flags, _grouped(recipe))
    recipe = with_budget(recipe, first.tasks.budget)
    # A search begins with the defaults, and keeps what it chose.
    if (recipe.folder or recipe.table) and not first.search:
        from fewstep.cli import own_run

        own = own_run.settings_of(first.first_run, first.config)
        if own is not None:
            options = parse(TrainOptions, command, flags, _grouped(own))
            own_run.check_columns(options.config, own)
            return options, own
    if recipe.folder:
        # So late that a mistake in the flags is told before any picture is read.
        from fewstep.cli import picture_folder

        recipe = picture_folder.defaults(first.config, first.first_run, _is_given(flags, "n_way"))
    if recipe.table:
        from fewstep.cli import table_file

        recipe = table_file.defaults(first.config, first.first_run, partial(_is_given, flags))
    # An algorithm's defaults depend on what network they are for.
    chosen = replace(recipe, model=first.network.model)
    given = _is_given(flags, "algorithm")
    defaults = with_algorithm(chosen, first.adaptation.algorithm if given else recipe.algorithm)
    if defaults.budget:
        # A budget may train in tasks of another size; one that is asked for is tested, too.
        asked = [f"test_{name}" for name in ("n_way", "k_shot") if _is_given(flags, name)]
        follow: dict[str, Any] = dict.fromkeys(asked)
        defaults = replace(defaults, **follow)
    return parse(TrainOptions, command, flags, _grouped(defaults)), defaults


def _show_help(command: str, flags: list[str], recipe: Config) -> None:
    """The help, with the defaults that hold beside the other flags, where these can be read."""
    defaults = with_algorithm(recipe, recipe.algorithm)
    others = [word for word in flags if word not in _HELP]
    # Of pictures it would take long, as all of them are read.
    if others and not recipe.folder:
        with suppress(InputError):
            _, defaults = _with_defaults(command, others, recipe)
    options = _grouped(defaults)
    if recipe.folder or recipe.table:
        from fewstep.cli.train_help import suited

        options = suited(options, defaults)
    parse(type(options), command, flags, options)


def _grouped(config: Config) -> TrainOptions:
    """The settings of a config as the groups of the help."""
    given = [
        group(**{field.name: getattr(config, field.name) for field in fields(group)})
        for group in reversed(Config.__bases__)
    ]
    return TrainOptions(*given)


def _is_given(flags: list[str], name: str) -> bool:
    words = [flag.partition("=")[0].replace("-", "_") for flag in flags if flag.startswith("--")]
    return f"__{name}" in words


def _without(name: str, arguments: list[str]) -> list[str]:
    """The arguments without a flag that has a value."""
    pairs = zip(["", *arguments], arguments, strict=False)
    flag = f"--{name}"
    return [word for before, word in pairs if flag not in (before, word.partition("=")[0])]


def _is_recipe(word: str, before: str) -> bool:
    """Whether a word stands for a recipe, and not for the value of the flag before it."""
    return word in RECIPES and (not before.startswith("--") or "=" in before)
