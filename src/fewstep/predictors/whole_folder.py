"""A folder that is written whole or not at all."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from fewstep.errors import InputError
from fewstep.files import cannot_write, make_folder
from fewstep.runtime.locks import NoLocksError, hold


def write_folder(
    folder: Path, write: Callable[[Path], object], names: Collection[str], last: str
) -> None:
    """Let ``write`` fill a folder beside ``folder``, then put it in place.

    What stood there is replaced where it was written so before, and else stays as it is. What a
    process that was killed has left there is removed.

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
        place = target if empty else target.parent
        part = place / f".{target.name}.{secrets.token_hex(4)}.part"
        with _alone(place / f".{target.name}.lock") as alone:
            try:
                part.mkdir()
                write(part)
                for path in part.iterdir():
                    with path.open("rb+") as written:
                        os.fsync(written.fileno())
                if empty:
                    for path in _own(target, names):
                        path.unlink()
                _put_in_place(part, target, last, empty=empty)
                if alone:
                    for left in (*_left(target.parent, target.name), *_left(target, target.name)):
                        shutil.rmtree(left, ignore_errors=True)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def check_may_be_written(folder: Path, target: Path, names: Collection[str], last: str) -> bool:
    """Whether an empty folder is there; `InputError` where something else is.

    One is empty, too, that a process was killed in while it filled it.
    """
    if not target.name or (target.exists() and not target.is_dir()):
        raise InputError(f"cannot write {folder} (it is no folder); give the name of a new one")
    if not target.exists():
        return False
    left = {path.name for path in _left(target, target.name)}
    there = {path.name for path in target.iterdir()} - left
    foreign = sorted(there - set(names))
    if left and not foreign and last not in there:
        return True
    if foreign or (there and last not in there):
        raise InputError(
            f"{folder} holds {foreign[0] if foreign else sorted(there)[0]!r} and would be "
            "replaced; choose a new or an empty folder"
        )
    return not there


def _left(place: Path, name: str) -> list[Path]:
    """The leftovers of killed writers of a folder of this name."""
    ours = re.compile(rf"\.{re.escape(name)}\.([0-9a-f]{{8}}\.(part|old)|lock)")
    return [path for path in place.iterdir() if ours.fullmatch(path.name)]


def _own(target: Path, names: Collection[str]) -> list[Path]:
    return [path for path in target.iterdir() if path.name in names]


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether nobody else writes the same folder, as far as locks tell."""
    with contextlib.ExitStack() as stack:
        alone = False
        with contextlib.suppress(NoLocksError):
            alone = stack.enter_context(hold(lock)) is not None
        try:
            yield alone
        finally:
            if alone:
                lock.unlink(missing_ok=True)


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
