"""ImageFolder: a folder of pictures, with a folder a class, as a source of tasks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import get_args

import numpy as np

from fewstep.choices import Split
from fewstep.data.class_split import numbers_by_name, with_all_parts
from fewstep.data.folder_cache import Contents, stored
from fewstep.data.folder_kind import guess
from fewstep.data.folder_listing import UNUSABLE, File, Listing, Problem, list_folder
from fewstep.data.folder_reading import ColourError, Outcomes, Reading, compact, read_all
from fewstep.data.image_set import ImageSet
from fewstep.data.images import ImageClasses
from fewstep.data.preparation import Fit, Preparation
from fewstep.errors import InputError
from fewstep.whole_numbers import as_whole

LARGEST = 1024  # pixels along a side: far more than any network of few-shot learning takes


class ImageFolder(ImageSet):
    """The pictures of a folder, with a folder a class.

    A class is a folder that directly holds pictures, named by its path, as ``owl`` or
    ``birds/owl``. Pictures may have any size and format that Pillow reads. They are read in several
    processes and prepared once; then they are kept in the cache for as long as the files stay the
    same, and stay on disk while tasks are drawn. Which files are left out, and why, is told by
    ``problems``: what cannot be read, is empty or too large, the second of two files with the same
    bytes, and links out of the folder.

    Args:
        folder: With a folder a class, or with ``train/``, ``val/`` and ``test/`` that have such.
        size: Height and width in pixels to which pictures are brought.
        channels: 1 for grey, 3 for colours; grey where every picture is, unless given.
        ink: Drawings, ink 255 on 0, as in `Preparation`; unless given, where all is grey and the
            background of nearly every picture is as white as paper, or black.
        fit: Cut a square out of the middle (``"crop"``), or press all into it (``"stretch"``).

    Attributes:
        folder: The folder.
        problems: ``(path, reason, left_out)`` of each file or folder that is not as it should be.
        parts: The classes of ``train/``, ``val/`` and ``test/`` where the folder is split so.

    Raises:
        InputError: It holds no picture, or cannot be read.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as photos:
    ...     for number, name in enumerate(["owl/1.png", "owl/2.png", "crow/1.png", "tit/1.png"]):
    ...         Path(photos, name).parent.mkdir(exist_ok=True)
    ...         Image.new("RGB", (64, 48), (0, 50 * number, 99)).save(Path(photos, name))
    ...     images = ImageFolder(photos, size=16)
    >>> images, images.counts
    (<3 classes, 4 pictures, RGB 16x16>, {'crow': 1, 'owl': 2, 'tit': 1})
    """

    def __init__(
        self,
        folder: str | Path,
        size: int = 84,
        *,
        channels: int | None = None,
        ink: bool | None = None,
        fit: Fit = "crop",
    ) -> None:
        pixels = as_whole(size)
        if pixels is None or not 1 <= pixels <= LARGEST:
            raise InputError(f"size is {size!r}; expected 1 to {LARGEST} pixels, as in size=84")
        if channels not in (None, 1, 3):
            raise InputError(f"channels is {channels!r}; expected 1 (grey), 3 (colours) or None")
        if fit not in get_args(Fit):
            raise InputError(f"fit is {fit!r}; expected {' or '.join(get_args(Fit))}")
        listing = list_folder(folder)
        images, problems = prepared(listing, pixels, as_whole(channels), ink, fit)
        super().__init__(images)
        self.folder, self.problems = Path(folder), problems
        self.parts = None
        if listing.parts is not None:
            there = set(images.names)
            self.parts = {
                part: [name for name in names if name in there]
                for part, names in listing.parts.items()
            }

    def split(self, *parts: float, seed: int = 0) -> tuple[ImageSet, ImageSet, ImageSet]:
        """Three sets, for training, validation and test, that share no class.

        Args:
            parts: Three integers, which are counts of classes, or three floats, which are
                fractions. Unless given, those of ``train/``, ``val/`` and ``test/`` in the folder
                (one that it lacks is drawn from the training classes), or else 60, 20 and 20%, and
                at least two classes where they suffice.
            seed: Another one draws another split.

        Raises:
            InputError: The parts do not fit.
        """
        if parts or self.parts is None:
            return super().split(*parts, seed=seed)
        return self.split_by_name(with_all_parts(self.parts, seed))

    def split_by_name(
        self, parts: Mapping[Split, Sequence[str]]
    ) -> tuple[ImageSet, ImageSet, ImageSet]:
        """Three sets of the classes of these names.

        Raises:
            InputError: Some are missing in the folder.
        """
        return self.split_into(numbers_by_name(self.classes, parts, self.folder, "classes"))


def prepared(
    listing: Listing, size: int, channels: int | None, ink: bool | None, fit: Fit
) -> tuple[ImageClasses, list[Problem]]:
    """The pictures that are listed, read or from the cache, and what is wrong with others.

    Arguments and errors are those of `ImageFolder`.
    """
    asked = f"{size} {channels} {ink} {fit}"
    pictures, told = stored(
        listing, asked, lambda part: _make(listing, part, size, channels, ink, fit)
    )
    counts = np.array(told.counts, np.int64)
    names, digests = tuple(told.names), tuple(told.digests)
    return ImageClasses(pictures, names, counts, told.preparation, digests=digests), told.problems


def _make(
    listing: Listing,
    part: Path,
    size: int,
    channels: int | None,
    ink: bool | None,
    fit: Fit,
) -> Contents:
    """Read all files into a new one, and tell what is in it."""
    files = [file for of_class in listing.classes.values() for file in of_class]
    how = Preparation(size, channels or 3, ink or False, fit)
    if channels is None or ink is None:
        found = guess(listing.folder, files, size, fit)
        how = replace(how, channels=channels or found.channels)
        if ink is None and how.channels == 1:
            how = replace(how, ink=found.ink)
    reading = Reading(part, listing.folder, files, how, channels is None)
    try:
        outcomes = read_all(reading)
    except ColourError:
        # Not among those that were looked at.
        how = replace(how, channels=3, ink=ink or False)
        outcomes = read_all(replace(reading, how=how))
    problems = [*listing.problems, *_problems(files, outcomes)]
    left_out = {problem.path for problem in problems if problem.left_out}
    kept = [i for i, file in enumerate(files) if file.path not in left_out]
    if not kept:
        raise InputError(
            f"{listing.folder} holds no picture that can be read ({problems[0]}); expected a "
            "folder of pictures a class"
        )
    compact(part, kept, len(files), how)
    digest_of = {files[i].path: outcomes.digests[i] for i in kept}
    counts, digests = {}, []
    for name, of_class in listing.classes.items():
        digest = [digest_of[file.path] for file in of_class if file.path in digest_of]
        if digest:
            counts[name] = len(digest)
            digests.append(sha256(b"".join(digest)).hexdigest()[:16])
        else:
            problems.append(Problem(name, UNUSABLE))
    return Contents(
        how, list(counts), list(counts.values()), digests, sorted(problems), outcomes.passing
    )


def _problems(files: Sequence[File], outcomes: Outcomes) -> Iterator[Problem]:
    """Of what cannot be read, what was read before, and what has a misleading name."""
    first: dict[bytes, str] = {}
    for number, (file, digest) in enumerate(zip(files, outcomes.digests, strict=True)):
        if number in outcomes.problems:
            yield Problem(file.path, outcomes.problems[number])
        elif file.path != first.setdefault(digest, file.path):
            yield Problem(file.path, f"the same bytes as {first[digest]}")
        elif number in outcomes.notes:
            yield Problem(file.path, outcomes.notes[number], left_out=False)
