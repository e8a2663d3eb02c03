"""Where prepared data is kept between runs, so that it is prepared once."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pooch

from fewstep.data.images import ImageClasses
from fewstep.errors import InputError
from fewstep.files import write_whole


def cache_dir() -> Path:
    """The folder of ``FEWSTEP_CACHE``, or the operating system's cache folder for fewstep."""
    return Path(os.environ.get("FEWSTEP_CACHE") or pooch.os_cache("fewstep"))


def cached(name: str, build: Callable[[], ImageClasses]) -> ImageClasses:
    """What ``build`` makes, from the cache where it was made before.

    Args:
        name: The file's name without its ending; it has to change whenever the content would.
        build: Makes the pictures. Called once, or again where the cached file is damaged.
    """
    path = cache_dir() / f"{name}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return ImageClasses(
                stored["pictures"], tuple(stored["names"].tolist()), stored["counts"]
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        made = build()
    try:
        write_whole(path, lambda part: _save(part, made))
    except InputError as error:
        raise InputError(f"{error}; the variable FEWSTEP_CACHE names another folder") from error
    return made


def _save(path: Path, made: ImageClasses) -> None:
    with path.open("wb") as file:
        np.savez(file, pictures=made.pictures, names=np.array(made.names), counts=made.counts)
