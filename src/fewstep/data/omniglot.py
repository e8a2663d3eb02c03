"""Omniglot (Lake, Salakhutdinov and Tenenbaum 2015): 1,623 characters by 20 hands."""

import hashlib
import io
import random
import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pooch
from PIL import Image

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.archives import Pictures, folder_pictures, zip_pictures
from fewstep.data.cache import cache_dir, cached
from fewstep.data.episodes import episodes
from fewstep.data.images import ImageClasses
from fewstep.data.preparation import Preparation
from fewstep.data.source import TaskSource
from fewstep.errors import InputError, first_line

CHARACTERS = {"images_background": 964, "images_evaluation": 659}
DRAWINGS = 20
ORIGINAL, SIDE = 105, 28  # pixels along a side, in the archives and here
SPLIT = {"train": slice(0, 1100), "val": slice(1100, 1200), "test": slice(1200, None)}
"""The MAML paper's 1,200 training characters, of which its code holds 100 back to validate."""

URL = "https://github.com/brendenlake/omniglot/raw/master/python/"
MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}


def load_omniglot(data_dir: str | Path | None = None) -> dict[str, ImageClasses]:
    """The characters of both parts, split 1,100 / 100 / 423 as in the MAML paper's code.

    Pictures are 28 x 28 with ink 255 on 0. They are read once and then kept in the cache.

    Args:
        data_dir: The folder that holds ``omniglot/``, with the two zips or the unpacked folders
            ``images_background`` and ``images_evaluation``. Without it the authors' archives are
            downloaded.

    Raises:
        InputError: An archive is missing, damaged or holds something else.

    >>> len(load_omniglot(Path("data"))["train"])  # doctest: +SKIP
    1100
    """
    parts = _download() if data_dir is None else _local(Path(data_dir, "omniglot"))
    listing = "\n".join(f"{part} {entry}" for part in parts for entry in parts[part].fingerprint)
    name = f"omniglot-{SIDE}-{hashlib.sha256(listing.encode()).hexdigest()[:16]}"
    characters = cached(name, SIDE, sum(CHARACTERS.values()), lambda: _read(parts))
    characters = replace(characters, preparation=Preparation(SIDE, 1, ink=True))
    order = sorted(range(len(characters)), key=lambda c: characters.names[c])
    random.Random(1).shuffle(order)
    return {split: characters.subset(order[part]) for split, part in SPLIT.items()}


def sources(config: Config, data_dir: Path | None) -> Mapping[Split, TaskSource]:
    """The tasks of each split's characters."""
    return episodes(load_omniglot(data_dir), config)


def _local(folder: Path) -> dict[str, Pictures]:
    parts = {}
    for part in CHARACTERS:
        if (folder / f"{part}.zip").is_file():
            parts[part] = zip_pictures(folder / f"{part}.zip")
        elif (folder / part).is_dir():
            parts[part] = folder_pictures(folder / part)
        else:
            raise InputError(
                f"{folder} has neither {part}.zip nor the folder {part}; put the archives of "
                "github.com/brendenlake/omniglot (folder python) there, or leave out --data-dir "
                "and FEWSTEP_DATA to download them"
            )
    return parts


def _download() -> dict[str, Pictures]:
    parts, folder = {}, cache_dir() / "omniglot"
    for name, md5 in MD5.items():
        try:
            path = pooch.retrieve(URL + name, f"md5:{md5}", name, folder, progressbar=True)
        # pooch lets errors of several libraries through: of the network, the disk, the checksum.
        except Exception as error:
            raise InputError(
                f"cannot download {URL + name} ({first_line(error)}); where there is no network, "
                "give the folder that holds omniglot/ with its two zips by --data-dir or "
                "FEWSTEP_DATA"
            ) from error
        parts[name.removesuffix(".zip")] = zip_pictures(Path(path))
    return parts


def _read(parts: dict[str, Pictures]) -> ImageClasses:
    names: list[str] = []
    drawings: list[npt.NDArray[np.uint8]] = []
    for part, pictures in parts.items():
        files = _files(pictures, part)
        names += files
        with warnings.catch_warnings():
            # Pillow warns of a picture of very many pixels before it can be asked how many.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            for name, content in pictures.read([name for each in files.values() for name in each]):
                drawings.append(_small(name, content, pictures.source))
    counts = np.full(len(names), DRAWINGS, dtype=np.int64)
    return ImageClasses(np.stack(drawings)[:, None], tuple(names), counts)


def _files(pictures: Pictures, part: str) -> dict[str, list[str]]:
    """Names of files by ``alphabet/character``; all have to be there and nothing else."""
    of_character: dict[str, list[str]] = defaultdict(list)
    for name in sorted(pictures.names):
        folders = name.split("/")
        if len(folders) != 4 or folders[0] != part or not name.endswith(".png"):
            raise InputError(
                f"{pictures.source} holds {name!r}; expected "
                f"{part}/ALPHABET/CHARACTER/DRAWING.png: it is not Omniglot"
            )
        of_character["/".join(folders[1:3])].append(name)
    for character, names in of_character.items():
        if len(names) != DRAWINGS:
            raise InputError(
                f"{pictures.source} has {len(names)} drawings of {character}, expected {DRAWINGS}; "
                "get the archive again"
            )
    if len(of_character) != CHARACTERS[part]:
        raise InputError(
            f"{pictures.source} has {len(of_character)} characters, expected {CHARACTERS[part]}; "
            "get the archive again"
        )
    return of_character


def _small(name: str, content: bytes, source: Path) -> npt.NDArray[np.uint8]:
    """``uint8 [28, 28]`` by Lanczos, ink 255.

    The MAML paper's code asks for Lanczos too, but of 1-bit pictures, where Pillow takes the
    nearest pixel instead; grey keeps the thin strokes whole.
    """
    try:
        # The header alone: pixels are read when they are asked for.
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size == (ORIGINAL, ORIGINAL) and picture.mode in ("1", "L"):
                small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                return 255 - np.asarray(small)
    # Pillow reports a broken header as any of these, and a bomb as the last two.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        raise InputError(
            f"{name} in {source} is no picture ({first_line(error)}); get the archive again"
        ) from error
    raise InputError(
        f"{name} in {source} has {picture.width}x{picture.height} pixels of mode {picture.mode}; "
        f"expected {ORIGINAL}x{ORIGINAL} in black and white or grey: get the archive again"
    )
