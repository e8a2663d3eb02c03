"""Reads the pictures of a folder into one file of bytes, in several processes."""

import gc
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
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from fewstep.data.folder_listing import File
from fewstep.data.preparation import UNREADABLE, Pixels, Preparation, quiet_pillow, reason
from fewstep.errors import InputError
from fewstep.runtime.children import end_with

BINARY = getattr(os, "O_BINARY", 0)  # of Windows
FEW = 64  # files that are read as fast by one process
MOST_AT_ONCE = 256  # files that a process reads before it tells of them


class ColourError(Exception):
    """A picture has colours where all were expected to be grey."""


@dataclass(frozen=True)
class Reading:
    """The files to read, and into what."""

    part: Path
    root: Path
    files: Sequence[File]
    how: Preparation
    may_be_grey: bool  # if ``how`` is grey: then a picture with colours is a `ColourError`

    @property
    def at_once(self) -> int:
        """Files that a process reads before it tells of them."""
        return max(1, min(MOST_AT_ONCE, len(self.files) // 16))

    def read(self, first: int) -> "Outcomes":
        """Read the files that come from the ``first`` on, and write them in their place."""
        how, files = self.how, self.files[first : first + self.at_once]
        block = np.zeros((len(files), how.channels, how.size, how.size), np.uint8)
        outcomes = Outcomes([], {}, {})
        for number, file in enumerate(files, first):
            content = b""
            try:
                content = _content(f"{self.root}/{file.path}", file)
                with Image.open(io.BytesIO(content)) as picture:
                    block[number - first] = self._prepared(picture)
                    if note := _misnamed(file.path, picture.format or ""):
                        outcomes.notes[number] = note
            except UNREADABLE as error:
                outcomes.problems[number] = reason(error)
                # What the system tells of a file, and not its content, may be mended.
                lacking = isinstance(error, MemoryError) or getattr(error, "errno", None)
                outcomes.passing = outcomes.passing or bool(lacking)
            outcomes.digests.append(hashlib.sha256(content).digest())
        # Not by a memory map: a full disk would end the process there.
        with self.part.open("rb+") as out:
            out.seek(first * block[0].size)
            out.write(block.data)
        return outcomes

    def _prepared(self, picture: Image.Image) -> Pixels:
        if not self.may_be_grey or self.how.channels == 3 or _is_grey_mode(picture):
            return self.how.of_opened(picture)
        pixels = replace(self.how, channels=3).of_opened(picture)
        if has_colours(pixels):
            raise ColourError
        return pixels[:1]


@dataclass
class Outcomes:
    """Of the reading of some files."""

    digests: list[bytes]  # of the content of each
    problems: dict[int, str]  # by the number of a file that cannot be read
    notes: dict[int, str]  # by the number of one that was read nevertheless
    passing: bool = False  # some could not be read now, and may be another time


def read_all(reading: Reading) -> Outcomes:
    """Write the prepared pictures one after another, with a bar on a terminal.

    A file that cannot be read leaves zeros in its place.

    Raises:
        ColourError: A picture is not grey.
        InputError: A process was ended from outside.
        OSError: The disk is full, say.
    """
    whole, files = Outcomes([], {}, {}), reading.files
    with (
        quiet_pillow(),
        tqdm(total=len(files), desc="reading", unit=" pictures", disable=None, leave=False) as bar,
        _mapped(reading, range(0, len(files), reading.at_once)) as outcomes,
    ):
        try:
            for some in outcomes:
                whole.digests.extend(some.digests)
                whole.problems.update(some.problems)
                whole.notes.update(some.notes)
                whole.passing = whole.passing or some.passing
                bar.update(len(some.digests))
        except BrokenProcessPool as error:
            raise InputError(
                "a process that read pictures was ended, perhaps for lack of memory; free some, or "
                f"look for a damaged file among those after {files[len(whole.digests)].path}"
            ) from error
    return whole


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


def _content(path: str, file: File) -> bytes:
    """The content of a file, which must not have changed since it was listed."""
    descriptor = os.open(path, os.O_RDONLY | BINARY)
    try:
        content = os.read(descriptor, file.size + 1)
        state = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (state.st_size, state.st_mtime_ns) != (file.size, file.mtime) or len(content) != file.size:
        raise ValueError("changed while the folder was read")
    return content


def _is_grey_mode(picture: Image.Image) -> bool:
    """Whether no picture of this mode has colours."""
    return picture.mode in ("1", "L", "LA", "La", "I", "F") or picture.mode.startswith("I;")


def has_colours(pixels: Pixels) -> bool:
    """Whether a picture ``[3, height, width]`` is not grey in some place."""
    return bool((pixels[0] != pixels[1]).any() or (pixels[1] != pixels[2]).any())


def _misnamed(path: str, kind: str) -> str:
    """A note on a file whose name tells another format than its content."""
    return _note(os.path.splitext(path)[1].lower(), kind)


@cache
def _note(suffix: str, kind: str) -> str:
    named = Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix, "")
    same = ("JPEG", "MPO"), ("BMP", "DIB"), ("ICO", "CUR")
    if named == kind or any(named in pair and kind in pair for pair in same):
        return ""
    return f"is {kind}, whatever its name says; it is read all the same"


@contextmanager
def _mapped(reading: Reading, starts: range) -> Iterator[Iterator[Outcomes]]:
    """The outcomes, by one process a core where they can be forked, or else by threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if len(reading.files) < FEW or cores in (None, 1):
        yield map(reading.read, starts)
        return
    pool: Executor
    if sys.platform == "linux":
        # A process that is forked does not run the user's script again, and has the files' names.
        fork = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(cores, fork, _begin, (reading, os.getpid()))
        read: Callable[[int], Outcomes] = _read_inherited
    else:
        pool, read = ThreadPoolExecutor(cores), reading.read
    try:
        yield pool.map(read, starts)
    finally:
        pool.shutdown(cancel_futures=True)


_inherited: list[Reading] = []


def _begin(reading: Reading, parent: int) -> None:
    _inherited.append(reading)
    # Ctrl-C goes to all processes; the first of them decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # What the first process has is no garbage of this one.
    gc.freeze()
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()


def _read_inherited(first: int) -> Outcomes:
    return _inherited[0].read(first)
