"""Glyphs: letters rendered from the fonts that matplotlib ships, with nothing to download.

The scripts of the world are split, not the letters: no script of a test task was seen in training.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import PIL
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.cache import cached
from fewstep.data.distort import distort
from fewstep.data.episodes import episodes
from fewstep.data.images import ImageClasses
from fewstep.data.preparation import Preparation
from fewstep.data.source import TaskSource

SCRIPTS = {  # first words of Unicode's letter names. OLD is Old Italic.
    "test": ("ARMENIAN", "HEBREW", "LAO", "TIFINAGH", "NKO"),
    "val": ("GEORGIAN", "OLD", "OGHAM", "COPTIC"),
    "train": ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "CANADIAN", "LISU"),
}

FACES = [
    f"DejaVu{family}{style}.ttf"
    for family, slant in (("Sans", "Oblique"), ("SansMono", "Oblique"), ("Serif", "Italic"))
    for style in ("", "-Bold", f"-{slant}", f"-Bold{slant}")
]
DRAWINGS = 20
SIDE = 28
CANVAS = 56
INK = 40  # pixels that the longer side of every letter fills of the canvas
EM = 64  # size in pixels at which fonts are rendered, before each letter is scaled to INK
ALIKE = 0.9  # two letters whose clean pictures correlate more than this count as one

Picture = npt.NDArray[np.uint8]


def load_glyphs() -> dict[str, ImageClasses]:
    """Letters by split, 20 drawings each, 28 x 28 with ink 255 on 0.

    Each drawing has its own face, slant, size and distortion. Letters that look alike are kept
    once. Made in seconds at the first call, then read from the cache. Classes are named
    ``SCRIPT/letter U+CODE``.

    >>> load_glyphs()["train"].pictures.shape[1:]
    (1, 28, 28)
    """
    name = f"glyphs-1-{matplotlib.__version__}-{PIL.__version__}"
    letters = cached(name, SIDE, None, _draw_all)
    letters = replace(letters, preparation=Preparation(SIDE, 1, ink=True))
    of_script = [name.split("/")[0] for name in letters.names]
    return {
        split: letters.subset([i for i, script in enumerate(of_script) if script in scripts])
        for split, scripts in SCRIPTS.items()
    }


def sources(config: Config, _: Path | None) -> Mapping[Split, TaskSource]:
    """The tasks of each split's letters."""
    return episodes(load_glyphs(), config)


def _draw_all() -> ImageClasses:
    faces = [_Face(name) for name in FACES]
    letters = _distinct(_letters(faces))
    clean = np.stack([picture for _, letter in letters for picture in _in_turn(letter, faces)])
    return ImageClasses(
        distort(clean, SIDE, np.random.default_rng(0))[:, None],
        tuple(f"{script}/{letter} U+{ord(letter):04X}" for script, letter in letters),
        np.full(len(letters), DRAWINGS, dtype=np.int64),
    )


class _Face:
    """One font file."""

    def __init__(self, name: str) -> None:
        path = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
        self.codes = frozenset(FT2Font(str(path)).get_charmap())
        self.font = ImageFont.truetype(str(path), EM)

    def draw(self, letter: str) -> Picture | None:
        """``[CANVAS, CANVAS]``, the letter in the middle; None where the face lacks it."""
        if ord(letter) not in self.codes:
            return None
        large = Image.new("L", (3 * EM, 3 * EM))
        ImageDraw.Draw(large).text((EM, EM), letter, fill=255, font=self.font)
        edges = large.getbbox()
        if edges is None:
            return None
        tight = large.crop(edges)
        scale = INK / max(tight.size)
        size = (max(1, round(tight.width * scale)), max(1, round(tight.height * scale)))
        small = tight.resize(size, Image.Resampling.BICUBIC)
        picture = Image.new("L", (CANVAS, CANVAS))
        picture.paste(small, ((CANVAS - size[0]) // 2, (CANVAS - size[1]) // 2))
        return np.asarray(picture)


def _letters(faces: list[_Face]) -> Iterator[tuple[str, str, Picture]]:
    """Each script's own letters: script, letter, and its picture by the first face that has it.

    Left out are marks, and letters that are put together from others.
    """
    letters = [chr(code) for code in sorted(frozenset().union(*(face.codes for face in faces)))]
    for script in chain.from_iterable(SCRIPTS.values()):
        for letter in letters:
            if (
                unicodedata.category(letter) in ("Lu", "Ll", "Lo")
                and unicodedata.name(letter, "").startswith(f"{script} ")
                and not unicodedata.decomposition(letter)
            ):
                face = next(face for face in faces if ord(letter) in face.codes)
                if (picture := face.draw(letter)) is not None:
                    yield script, letter, picture


def _distinct(drawn: Iterable[tuple[str, str, Picture]]) -> list[tuple[str, str]]:
    """Script and letter of those that do not look like one before them."""
    kept: list[tuple[str, str]] = []
    looks = np.empty((0, (CANVAS // 2) ** 2), np.float32)
    for script, letter, picture in drawn:
        look = _coarse(picture)
        if (looks @ look).max(initial=0) < ALIKE:
            kept.append((script, letter))
            looks = np.vstack([looks, look])
    return kept


def _coarse(picture: Picture) -> npt.NDArray[np.float32]:
    """At half the resolution, of mean 0 and length 1, so that products are correlations."""
    half = CANVAS // 2
    look: npt.NDArray[np.float32] = picture.reshape(half, 2, half, 2).mean((1, 3), dtype=np.float32)
    look -= look.mean()
    look /= np.linalg.norm(look)
    return look.ravel()


def _in_turn(letter: str, faces: list[_Face]) -> list[Picture]:
    """One clean picture for each drawing, by the faces that have the letter, one after another."""
    pictures = [picture for face in faces if (picture := face.draw(letter)) is not None]
    return [pictures[drawing % len(pictures)] for drawing in range(DRAWINGS)]
