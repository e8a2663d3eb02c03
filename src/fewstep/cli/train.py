"""``fewstep train RECIPE|FOLDER|TABLE``: meta-train, then evaluate on tasks never seen."""

import os
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from fewstep.cli.console import error_console
from fewstep.cli.options import check_is_text, data_folder, parse
from fewstep.config import groups
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
)
from fewstep.config.schema import Config
from fewstep.data.folder_listing import check_is_folder
from fewstep.data.table_paths import is_table
from fewstep.errors import InputError


@dataclass(frozen=True)
class TrainOptions:
    """Meta-train a recipe, then evaluate it on test classes. The same command again goes on.

    fewstep recipes lists the recipes. Without one it is glyphs-5way-1shot. Defaults are those of
    the recipe and the algorithm. In the place of a recipe may stand a folder of pictures, with a
    folder a class; a table, as in fewstep train exams.csv --task school --target score; or a folder
    of tables, each a task: defaults then suit what is in it.
    """

    tasks: OmitArgPrefixes[groups.Task]
    network: OmitArgPrefixes[groups.Network]
    adaptation: OmitArgPrefixes[groups.Adaptation]
    outer_loop: OmitArgPrefixes[groups.OuterLoop]
    evaluation: OmitArgPrefixes[groups.Evaluation]
    machine: OmitArgPrefixes[groups.Machine]
    specialist: OmitArgPrefixes[groups.Specialist]
    run_dir: Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")] = None
    """Where the run is kept: runs/RECIPE-ALGORITHM-seedN or runs/NAME of own data unless given."""

    @property
    def config(self) -> Config:
        """All settings together."""
        given = [group for name, group in vars(self).items() if name != "run_dir"]
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
        recipe, algorithm = self.tasks.recipe, self.adaptation.algorithm
        return Path("runs", f"{recipe}-{algorithm}-seed{self.outer_loop.seed}")


def main(arguments: list[str]) -> int:
    """Train and evaluate."""
    options, defaults = _options(arguments)
    config = options.config
    folder = data_folder(config.data_dir)
    run_dir = options.kept_in
    check_is_text(run_dir)
    saved = run_dir / "config.json"
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
    config = replace(config, data_dir=remembered_folder(run_dir, folder, of_run))

    # After the flags are read, so that a mistake in them is told at once.
    from fewstep.cli import picture_folder, table_file
    from fewstep.cli.progress import ProgressBar
    from fewstep.cli.results import final_test, show_finished
    from fewstep.training.run_dir import RunDir
    from fewstep.training.runs import Tasks, trained
    from fewstep.training.split_file import kept_split

    def show_pictures(run: RunDir, tasks: Tasks) -> None:
        if config.folder and not run.contact_sheet.exists():
            picture_folder.draw(run.contact_sheet, config, tasks, console)

    if not show_finished(config, run_dir, console):
        if config.folder or config.table:
            own = picture_folder if config.folder else table_file
            own.tell(config, kept_split(config, RunDir(run_dir)), console)
        with trained(config, run_dir, ProgressBar(console, config), show_pictures) as run:
            final_test(run, run_dir, console)
    return 0


def _options(arguments: list[str]) -> tuple[TrainOptions, Config]:
    """The flags over the settings of the recipe and of the algorithm, and those settings."""
    named = bool(arguments) and not arguments[0].startswith("-")
    late = [word for before, word in pairwise(arguments) if _is_recipe(word, before)]
    if late and not named:
        raise InputError(f"the recipe comes first: fewstep train {late[0]} ...")
    flags = arguments[1:] if named else arguments
    if named and arguments[0] not in RECIPES and is_table(arguments[0]):
        # A network that suits series, before it is read what they are.
        is_series = _is_given(flags, "window") and _is_given(flags, "time")
        series: dict[str, Any] = {"time": "", "window": 1} if is_series else {}
        recipe, command = table_config(os.path.abspath(arguments[0]), **series), "train TABLE"
    elif named and _is_folder(arguments[0]):
        path = os.path.abspath(check_is_folder(arguments[0]))
        recipe, command = folder_config(path), "train FOLDER"
    else:
        recipe = find_recipe(arguments[0] if named else DEFAULT).config
        command = f"train {recipe.recipe}" if named else "train [RECIPE]"
    first = parse(TrainOptions, command, flags, _grouped(recipe))
    if recipe.folder:
        # So late that a mistake in the flags is told before any picture is read.
        from fewstep.cli import picture_folder

        recipe = picture_folder.defaults(first.config, first.kept_in, _is_given(flags, "n_way"))
    if recipe.table:
        from fewstep.cli import table_file

        recipe = table_file.defaults(first.config, first.kept_in, partial(_is_given, flags))
    # An algorithm's defaults depend on what network they are for.
    chosen = replace(recipe, model=first.network.model)
    defaults = with_algorithm(chosen, first.adaptation.algorithm)
    return parse(TrainOptions, command, flags, _grouped(defaults)), defaults


def _grouped(config: Config) -> TrainOptions:
    """The settings of a config as the groups of the help."""
    given = [
        group(**{field.name: getattr(config, field.name) for field in fields(group)})
        for group in reversed(Config.__bases__)
    ]
    return TrainOptions(*given)


def _is_folder(word: str) -> bool:
    """Whether a word is the path of a folder and no recipe."""
    path_like = bool({os.sep, "/"} & {*word}) or word in (".", "..")
    return word not in RECIPES and (path_like or Path(word).is_dir())


def _is_given(flags: list[str], name: str) -> bool:
    words = [flag.partition("=")[0].replace("-", "_") for flag in flags if flag.startswith("--")]
    return f"__{name}" in words


def _is_recipe(word: str, before: str) -> bool:
    """Whether a word stands for a recipe, and not for the value of the flag before it."""
    return word in RECIPES and (not before.startswith("--") or "=" in before)
