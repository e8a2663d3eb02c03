"""The prepared pictures of a folder as one memory-mapped file, valid for the same files only."""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewstep.data.cache import cache_dir
from fewstep.data.folder_listing import Listing, Problem
from fewstep.data.preparation import Pixels, Preparation
from fewstep.errors import InputError, first_line
from fewstep.files import make_folder, remove_parts_of_the_dead, write_whole

FORMAT = "1"  # of the file, and of the way in which pictures are prepared
_END = b"fewstep\n"
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError)
_ATTEMPTS = 3
_log = logging.getLogger("fewstep")


@dataclass(frozen=True)
class Contents:
    """All that is known of a folder's pictures, but for the pixels."""

    preparation: Preparation
    names: list[str]
    counts: list[int]
    digests: list[str]  # of each class: other pictures give others
    problems: list[Problem]
    passing: bool = False  # some files could not be read now, and may be another time


Stored = tuple[Pixels, Contents]


def stored(listing: Listing, asked: str, make: Callable[[Path], Contents]) -> Stored:
    """The pictures as they were stored, or else as ``make`` writes them into a file.

    ``asked`` tells how they were to be prepared. Those of the same folder, asked for in the same
    way when it held other files, are removed.

    Raises:
        InputError: The cache cannot be written, or no picture be read.
    """
    folder = cache_dir() / "folders"
    same = f"{_short(os.path.realpath(listing.folder))}-{_short(asked)}-"
    path = folder / f"{same}{_short(_files(listing))}.pictures"
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            try:
                found = _load(path)
            except FileNotFoundError:
                raise
            except _DAMAGED as error:
                _log.info("%s is damaged (%s) and is made again", path, first_line(error))
            else:
                if not found[1].passing:
                    return found
        try:
            make_folder(folder)
            write_whole(path, lambda part: _write(part, make))
        except InputError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise InputError(f"{error}; the variable FEWSTEP_CACHE names another folder") from error
        _remove_others(path, same)
        # Another process may have found other files in the folder, and removed these.
        with suppress(FileNotFoundError):
            return _load(path)
    raise InputError(
        f"{listing.folder} changes while it is read; wait until it stays as it is, and try again"
    )


def _remove_others(path: Path, same: str) -> None:
    """Remove what was made of the folder when it held other files, whole or half."""
    remove_parts_of_the_dead(path.parent, f".{same}")
    for old in path.parent.glob(f"{same}*.pictures"):
        # Who has it open keeps it, and on some systems holds it.
        with suppress(OSError):
            if old != path:
                old.unlink()


def _write(part: Path, make: Callable[[Path], Contents]) -> None:
    part.touch()
    contents = make(part)
    told = json.dumps(asdict(contents)).encode()
    with part.open("ab") as file:
        file.write(told + len(told).to_bytes(8, "little") + _END)


def _load(path: Path) -> Stored:
    """Pixels first, then the contents as JSON, their length and a mark."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 16))
        tail = file.read()
        length = int.from_bytes(tail[:8], "little")
        if tail[8:] != _END or length + 16 > size:
            raise ValueError("its end is missing")
        file.seek(size - 16 - length)
        told: dict[str, Any] = json.loads(file.read(length))
    problems = [Problem(*problem) for problem in told.pop("problems")]
    how = Preparation(**told.pop("preparation"))
    contents = Contents(how, problems=problems, **told)
    shape = (sum(contents.counts), how.channels, how.size, how.size)
    if int(np.prod(shape)) != size - 16 - length:
        raise ValueError(f"{size:,} bytes for pictures {list(shape)}")
    return np.memmap(path, np.uint8, "r", shape=shape), contents


def _files(listing: Listing) -> str:
    lines = [
        f"{name!r} {f.path!r} {f.size} {f.mtime}"
        for name, of in listing.classes.items()
        for f in of
    ]
    return "\n".join(lines + [f"{p!r}" for p in listing.problems])


def _short(text: str) -> str:
    return hashlib.sha256(f"{FORMAT} {text}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
