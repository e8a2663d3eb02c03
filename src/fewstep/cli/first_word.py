"""The first word of ``fewstep train``: a recipe, a table, or a folder of pictures."""

import difflib
import os
from pathlib import Path
from typing import Literal

from fewstep.config.recipes import RECIPES, find_recipe
from fewstep.config.registry import OF_TABLES
from fewstep.data.folder_listing import check_is_folder
from fewstep.data.tables.paths import (
    SUFFIXES,
    has_pictures,
    has_tables,
    is_picture,
    is_table,
    is_workbook,
)
from fewstep.errors import InputError

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
Kind = Literal["recipe", "table", "folder"]


def kind_of(word: str, given: frozenset[str]) -> Kind:
    """The kind of thing that a word stands for.

    Args:
        word: As it was given.
        given: Names of the settings that are given; those of tables tell a folder of tables from
            one of pictures.

    Raises:
        InputError: It is a file that is no table, is not there, or does not go with the settings.
    """
    if not word:
        raise InputError(
            "no folder is given, but an empty word; give a recipe, a folder of pictures or a table"
        )
    if word in RECIPES:
        return "recipe"
    path = Path(word)
    of_tables = [f"--{name.replace('_', '-')}" for name in OF_TABLES if name in given]
    if is_table(path) or (of_tables and has_tables(path)):
        return "table"
    if path.is_file() and not is_picture(path):
        raise _no_table(path)
    if not path.exists() and path.suffix and not word.endswith(("/", os.sep)):
        raise no_file(path)
    if not path.is_dir() and not {os.sep, "/"} & {*word}:
        try:
            find_recipe(word)  # tells which there are
        except InputError as error:
            raise InputError(f"{error}; nor is there a folder {word} here") from None
    check_is_folder(word)
    if of_tables:
        *some, last = of_tables
        flags = f"{', '.join(some)} and {last} are" if some else f"{last} is"
        holds = "pictures" if has_pictures(path) else "no table"
        raise InputError(
            f"{flags} of tables, and the folder {word} holds {holds}; leave {flags.split()[0]} out "
            f"for pictures, or give a folder of {', '.join(SUFFIXES[:3])} or Parquet files"
        )
    return "folder"


def no_file(path: Path) -> InputError:
    """The error where a table is not there."""
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, beside, n=1)
    hint = f"did you mean {close[0]}?" if close else "give the path of a table or of a folder"
    return InputError(f"there is no file {path}; {hint}")


def _no_table(path: Path) -> InputError:
    if path.name.lower().endswith(_ARCHIVES):
        return InputError(f"{path} is an archive; unpack it, and give what is in it")
    if is_workbook(path):
        return InputError(f"{path} is a workbook or an archive; save the table as CSV")
    return InputError(
        f"{path} is no table by its name; expected {', '.join(SUFFIXES)}: save the table as CSV"
    )
