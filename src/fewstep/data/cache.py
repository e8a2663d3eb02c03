"""Where prepared data is kept between runs, so that it is prepared once."""

import logging
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pooch

from fewstep.data.images import ImageClasses
from fewstep.errors import InputError, first_line
from fewstep.files import make_folder, write_whole

LARGEST = 2**28
"""Bytes of the largest array that is read: ten times what Omniglot takes."""
# All that NumPy and zipfile were seen to raise for a file that is none of theirs.
_DAMAGED = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
_log = logging.getLogger("fewstep")


def cache_dir() -> Path:
    """The folder of ``FEWSTEP_CACHE``, or the operating system's cache folder for fewstep."""
    return Path(os.environ.get("FEWSTEP_CACHE") or pooch.os_cache("fewstep"))


def cached(
    name: str, side: int, classes: int | None, build: Callable[[], ImageClasses]
) -> ImageClasses:
    """The pictures that ``build`` makes, from the cache where they were made before.

    The name has to change whenever the content would. A file is damaged that has not one channel of
    ``side`` pixels, or so many classes; None where only ``build`` knows.
    """
    path = cache_dir() / f"{name}.npz"
    try:
        return _load(path, side, classes)
    except FileNotFoundError:
        pass
    except (*_DAMAGED, InputError) as error:
        _log.info("%s is damaged (%s) and is made again", path, first_line(error))
    made = build()
    try:
        make_folder(path.parent)
        write_whole(path, lambda part: _save(part, made))
    except InputError as error:
        raise InputError(f"{error}; the variable FEWSTEP_CACHE names another folder") from error
    return made


def _load(path: Path, side: int, classes: int | None) -> ImageClasses:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        largest = max((entry.file_size for entry in stored.zip.infolist()), default=0)
        if largest > LARGEST:
            raise ValueError(f"{largest:,} bytes in one piece")
        pictures = stored["pictures"]
        if pictures.shape[1:] != (1, side, side):
            raise ValueError(f"pictures {list(pictures.shape)}")
        names = tuple(map(str, stored["names"]))
        if len(set(names)) < len(names) or classes not in (None, len(names)):
            raise ValueError(f"{len(set(names))} names of {len(names)} classes")
        return ImageClasses(pictures, names, stored["counts"])


def _save(path: Path, made: ImageClasses) -> None:
    with path.open("wb") as file:
        np.savez(file, pictures=made.pictures, names=np.array(made.names), counts=made.counts)
