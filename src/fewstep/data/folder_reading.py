"""Reads the pictures of a folder into one file of bytes, in several processes."""

import hashlib
import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from fewstep.data.folder_listing import File
from fewstep.data.preparation import UNREADABLE, Pixels, Preparation, quiet_pillow, reason
from fewstep.errors import InputError
from fewstep.runtime.children import end_with

FEW = 64  # files that are read as fast by one process
MOST_AT_ONCE = 256  # files that a process reads before it tells of them


class ColourError(Exception):
    """A picture has colours where all were expected to be grey."""


class Outcome(NamedTuple):
    """Of the reading of one file."""

    digest: bytes = b""  # of its content; empty where it cannot be read
    problem: str = ""  # why not
    note: str = ""  # of a file that was read nevertheless


def read_into(
    part: Path, root: Path, files: Sequence[File], how: Preparation, may_be_grey: bool
) -> list[Outcome]:
    """Write the prepared pictures one after another, with a bar on a terminal.

    A file that cannot be read leaves zeros in its place.

    Raises:
        ColourError: ``how`` is grey, ``may_be_grey``, and a picture is not.
        InputError: A process was ended from outside.
        OSError: The disk is full, say.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = 1 if len(files) < FEW else cores or 1
    at_once = max(1, min(MOST_AT_ONCE, len(files) // (8 * workers)))
    read = partial(_read_some, part, root, how, may_be_grey)
    starts = range(0, len(files), at_once)
    outcomes: list[Outcome] = []
    with (
        quiet_pillow(),
        tqdm(total=len(files), desc="reading", unit=" pictures", disable=None, leave=False) as bar,
        _mapping(workers) as mapped,
    ):
        try:
            for some in mapped(read, starts, [files[i : i + at_once] for i in starts]):
                outcomes += some
                bar.update(len(some))
        except BrokenProcessPool as error:
            raise InputError(
                "a process that read pictures was ended, perhaps for lack of memory; free some, "
                f"or look for a damaged file among those after {files[len(outcomes)].path}"
            ) from error
    return outcomes


def compact(part: Path, kept: Sequence[int], pictures: int, how: Preparation) -> None:
    """Leave only the kept pictures in the file, whose numbers are in ascending order."""
    shape = (pictures, how.channels, how.size, how.size)
    if len(kept) < pictures:
        # Its place on the disk is taken already, so that a memory map may write to it.
        mapped = np.memmap(part, np.uint8, "r+", shape=shape)
        for i in range(0, len(kept), MOST_AT_ONCE):
            some = kept[i : i + MOST_AT_ONCE]
            mapped[i : i + len(some)] = mapped[some]
        mapped.flush()
        del mapped
    os.truncate(part, len(kept) * int(np.prod(shape[1:])))


def _read_some(
    part: Path, root: Path, how: Preparation, may_be_grey: bool, first: int, files: list[File]
) -> list[Outcome]:
    """Read the files that come from the ``first`` on, and write them in their place."""
    block = np.zeros((len(files), how.channels, how.size, how.size), np.uint8)
    outcomes = [_read(root, file, how, may_be_grey, block[i]) for i, file in enumerate(files)]
    # Not by a memory map: a full disk would end the process there.
    with part.open("rb+") as out:
        out.seek(first * block[0].size)
        out.write(block.data)
    return outcomes


def _read(root: Path, file: File, how: Preparation, may_be_grey: bool, place: Pixels) -> Outcome:
    """Put one prepared picture into its place."""
    try:
        with open(os.path.join(root, file.path), "rb") as opened:
            content = opened.read()
            state = os.fstat(opened.fileno())
    except OSError as error:
        return Outcome(problem=f"cannot be read ({error.strerror or error})")
    if (state.st_size, state.st_mtime_ns) != (file.size, file.mtime) or len(content) != file.size:
        return Outcome(problem="changed while the folder was read")
    try:
        with Image.open(io.BytesIO(content)) as picture:
            kind = picture.format or ""
            if may_be_grey and how.channels == 1 and not is_grey_mode(picture):
                place[:] = _grey(replace(how, channels=3).of_opened(picture))
            else:
                place[:] = how.of_opened(picture)
    except UNREADABLE as error:
        return Outcome(problem=reason(error))
    return Outcome(hashlib.sha256(content).digest(), note=_misnamed(file.path, kind))


def is_grey_mode(picture: Image.Image) -> bool:
    """Whether no picture of this mode has colours."""
    return picture.mode in ("1", "L", "LA", "La", "I", "F") or picture.mode.startswith("I;")


def has_colours(pixels: Pixels) -> bool:
    """Whether a picture ``[3, height, width]`` is not grey in some place."""
    return bool((pixels[0] != pixels[1]).any() or (pixels[1] != pixels[2]).any())


def _grey(pixels: Pixels) -> Pixels:
    if has_colours(pixels):
        raise ColourError
    return pixels[:1]


def _misnamed(path: str, kind: str) -> str:
    """A note on a file whose name tells another format than its content."""
    suffix = os.path.splitext(path)[1].lower()
    named = Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix, "")
    same = ("JPEG", "MPO"), ("BMP", "DIB"), ("ICO", "CUR")
    if named == kind or any(named in pair and kind in pair for pair in same):
        return ""
    return f"is {kind}, whatever its name says; it is read all the same"


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[list[Outcome]]]]:
    """`map`, by several workers: processes where they can be forked, or else threads."""
    if workers == 1:
        yield map
        return
    pool: Executor
    if sys.platform == "linux":
        # A process that is forked does not run the user's script again.
        fork = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(workers, fork, _begin, (os.getpid(),))
    else:
        pool = ThreadPoolExecutor(workers)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    # Ctrl-C goes to all processes; the first of them decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
