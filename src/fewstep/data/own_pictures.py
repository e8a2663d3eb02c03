"""A user's own pictures for an adaptation: a folder a class, or pictures without classes."""

import hashlib
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fewstep.data.folder_listing import LARGEST, Problem, spelled_alike, walk
from fewstep.data.preparation import Pixels, Preparation
from fewstep.errors import InputError

_OF_CAMERAS = {
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf"),
    *(".raf", ".rw2", ".raw", ".svg"),
}
"""Formats that Pillow may not read: such pictures are told of, as others that are broken."""

_FILES = "files such as 1.jpg or 2.png"


@dataclass(frozen=True)
class Listed:
    """Picture files of a folder, with the class of each if they stand in folders of classes."""

    files: list[Path]
    labels: list[str] | None
    problems: list[Problem]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures that were read; those that cannot be are told apart.

    Attributes:
        files: Where they come from.
        pixels: ``uint8 [pictures, channels, size, size]``.
        digests: Of their files.
        labels: The class of each, where it is known.
        problems: The other files, each with its reason.
    """

    files: list[Path]
    pixels: Pixels
    digests: list[str]
    labels: list[str] | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def x(self) -> Tensor:
        """The pictures as examples: numbers from 0 to 1."""
        return torch.from_numpy(self.pixels).float() / 255


def support_files(folder: Path, least: int = 2) -> Listed:
    """The pictures of ``least`` classes or more, each in a folder of its own.

    Raises:
        InputError: They are no such pictures.
    """
    found = _listed(folder, f"a folder a class, as in {folder / 'owl' / '1.jpg'}")
    if found.labels is None:
        raise InputError(
            f"{folder} holds pictures and no folders of classes; expected a folder a class, as in "
            f"{folder / 'owl' / '1.jpg'}"
        )
    for problem in found.problems:
        # Without it, a class that was meant to be learned would be missing.
        if problem.reason.startswith("cannot be read") and Path(problem.path).is_dir():
            raise InputError(f"{problem}; see that it may be read, or move it away")
    classes = sorted(set(found.labels))
    if len(classes) < least:
        raise InputError(
            f"{folder} holds one class, {classes[0]!r}; expected two or more, a folder each"
        )
    return found


def query_files(folder: Path) -> Listed:
    """The pictures of a folder, by class if it has folders.

    Raises:
        InputError: There is none, or some stand in folders and some do not.
    """
    return _listed(folder)


def as_known(listed: Listed, known: Collection[object]) -> Listed:
    """The same files with their classes spelled as those that are known already."""
    spelled = {spelled_alike(name): name for name in known if isinstance(name, str)}
    labels = listed.labels and [spelled.get(label, label) for label in listed.labels]
    return replace(listed, labels=labels)


def check_query_classes(query: Listed, known: Collection[object], folder: Path) -> None:
    """See that every class of a query folder was learned."""
    unknown = sorted(set(query.labels or ()) - set(known))
    if unknown:
        told = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
        raise InputError(
            f"{folder} has pictures of {told}, which the support folder lacks; give pictures of "
            "each class to learn from, or all query pictures in one folder without classes"
        )


def files_below(folder: Path) -> Listed:
    """The pictures of a folder and of all folders in it, sorted, whatever these stand for."""
    by_folder, problems = _found(folder)
    files = sorted(path for paths in by_folder.values() for path in paths)
    return Listed([folder / path for path in files], None, problems)


def read_support(folder: Path, listed: Listed, how: Preparation) -> Pictures:
    """The pictures of a support set.

    Raises:
        InputError: Of a class none can be read.
    """
    found = read_pictures(listed, how)
    assert listed.labels is not None
    empty = sorted(set(listed.labels) - set(found.labels or ()))
    if empty:
        labelled = zip(listed.files, listed.labels, strict=True)
        of_class = {str(file) for file, label in labelled if label == empty[0]}
        broken = next(p for p in found.problems if p.path in of_class)
        raise InputError(
            f"no picture of class {empty[0]!r} in {folder} can be read ({broken}); replace it or "
            "remove its folder"
        )
    return found


def read_pictures(listed: Listed, how: Preparation) -> Pictures:
    """Those of the files that can be read, prepared."""
    kept, pixels, digests, problems = [], [], [], list(listed.problems)
    for number, file in enumerate(listed.files):
        try:
            prepared, digest = read_picture(file, how)
        except InputError as error:
            problems.append(Problem(str(file), str(error)))
            continue
        kept.append(number)
        pixels.append(prepared)
        digests.append(digest)
    shape = (0, how.channels, how.size, how.size)
    labels = None if listed.labels is None else [listed.labels[n] for n in kept]
    files = [listed.files[n] for n in kept]
    stacked = np.stack(pixels) if pixels else np.zeros(shape, np.uint8)
    return Pictures(files, stacked, digests, labels, problems)


def read_picture(file: Path, how: Preparation) -> tuple[Pixels, str]:
    """A prepared picture, and the digest of its file.

    Raises:
        InputError: Why it cannot be read, without its name.
    """
    try:
        # A pipe has no end, perhaps, and a device none at all.
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            raise InputError("no regular file")
        if state.st_size > LARGEST:
            raise InputError(f"too large: {state.st_size:,} bytes")
        content = file.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        told = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read ({told})") from error
    if not content:
        raise InputError("empty")
    try:
        return how(content), hashlib.sha256(content).hexdigest()
    except InputError as error:
        raise InputError(str(error).removeprefix("the picture is ")) from error


def repeated(support: Pictures, query: Pictures) -> list[tuple[Path, Path]]:
    """The query pictures that are support pictures byte by byte: (query, support)."""
    known = dict(zip(support.digests, support.files, strict=True))
    pairs = zip(query.digests, query.files, strict=True)
    return [(file, known[digest]) for digest, file in pairs if digest in known]


def alike(support: Pictures) -> list[tuple[int, int]]:
    """Support pictures that are an earlier one byte by byte, with that one, by number."""
    first: dict[str, int] = {}
    pairs = [(n, first.setdefault(d, n)) for n, d in enumerate(support.digests)]
    return [(number, before) for number, before in pairs if number != before]


def _listed(folder: Path, expected: str = _FILES) -> Listed:
    by_folder, problems = _found(folder, expected)
    own = by_folder.pop("", [])
    if own and by_folder:
        raise InputError(
            f"{folder} holds pictures ({own[0]}) beside folders ({next(iter(by_folder))}); put "
            "every picture into the folder of its class"
        )
    if own:
        return Listed([folder / path for path in own], None, problems)
    pairs = [
        (folder / path, spelled_alike(name)) for name, paths in by_folder.items() for path in paths
    ]
    return Listed([path for path, _ in pairs], [name for _, name in pairs], problems)


def _found(folder: Path, expected: str = _FILES) -> tuple[dict[str, list[str]], list[Problem]]:
    """Paths of the pictures inside of a folder, by the folder that they stand in."""
    try:
        state = folder.stat()
    except OSError as error:
        raise InputError(
            f"cannot open {folder} ({error.strerror or error}); expected a folder of pictures"
        ) from error
    if not stat.S_ISDIR(state.st_mode):
        raise InputError(f"{folder} is a file; expected a folder of pictures")
    problems: list[Problem] = []
    found = {
        name: paths
        for name, files in sorted(walk(os.path.realpath(folder), "", problems))
        if (paths := [file.path for file in files if may_be_picture(file.path)])
    }
    if not found:
        told = f" ({problems[0]})" if problems else ""
        raise InputError(f"{folder} holds no pictures{told}; expected {expected}")
    outside = [Problem(str(folder / p.path), p.reason, p.left_out) for p in problems]
    return found, outside


def may_be_picture(name: str) -> bool:
    """Whether a file has the name of a picture, or one that says nothing."""
    suffix = os.path.splitext(name)[1].lower()
    return not suffix or suffix in _OF_CAMERAS or suffix in Image.registered_extensions()
