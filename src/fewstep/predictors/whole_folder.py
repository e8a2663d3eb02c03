"""A folder that is written whole or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from fewstep.errors import InputError
from fewstep.files import cannot_write, make_folder


def write_folder(
    folder: Path, write: Callable[[Path], object], names: Collection[str], last: str
) -> None:
    """Let ``write`` fill a folder beside ``folder``, then put it in place.

    What stood there is replaced where it was written so before, and else stays as it is.

    Args:
        folder: Where to; missing, empty, or an earlier one.
        write: Fills the folder that it is given.
        names: Of the files that such a folder may hold.
        last: The file that makes it one.

    Raises:
        InputError: It cannot be written, or holds something else.
    """
    target = Path(os.path.realpath(folder))
    try:
        empty = check_may_be_written(folder, target, names, last)
        make_folder(target.parent)
        # An empty folder may be the place of a disk, or where the user is: it stays itself.
        part = (target if empty else target.parent) / f".{target.name}.{secrets.token_hex(4)}.part"
        try:
            part.mkdir()
            write(part)
            for path in part.iterdir():
                with path.open("rb+") as written:
                    os.fsync(written.fileno())
            _put_in_place(part, target, last, empty=empty)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def check_may_be_written(folder: Path, target: Path, names: Collection[str], last: str) -> bool:
    """Whether an empty folder is there; `InputError` where something else is."""
    if not target.name or (target.exists() and not target.is_dir()):
        raise InputError(f"cannot write {folder} (it is no folder); give the name of a new one")
    if not target.exists():
        return False
    there = {path.name for path in target.iterdir()}
    foreign = sorted(there - set(names))
    if foreign or (there and last not in there):
        raise InputError(
            f"{folder} holds {foreign[0] if foreign else sorted(there)[0]!r} and would be "
            "replaced; choose a new or an empty folder"
        )
    return not there


def _put_in_place(part: Path, target: Path, last: str, *, empty: bool) -> None:
    if empty:
        moved: list[Path] = []
        try:
            # A folder is one from the moment that it has the last file.
            for path in sorted(part.iterdir(), key=lambda path: path.name == last):
                moved.append(target / path.name)
                path.rename(moved[-1])
        except OSError:
            for path in moved:
                path.unlink(missing_ok=True)
            raise
        return
    if not target.exists():
        part.rename(target)
        return
    old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
    target.rename(old)
    try:
        part.rename(target)
    except OSError:
        with contextlib.suppress(OSError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
