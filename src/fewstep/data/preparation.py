"""Preparation: how a picture of any kind becomes the bytes that a network is trained on."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from fewstep.errors import InputError, first_line
from fewstep.whole_numbers import as_whole

Fit = Literal["crop", "stretch"]
Pixels = npt.NDArray[np.uint8]
PAPER = 25  # how far from black or white the ground of a drawing may be, of 255, as it is
LEAST_CONTRAST = 64  # of ink on grey paper
# Pillow reports what it cannot read as any of these, and too many pixels as the last two.
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError),
    *(EOFError, MemoryError, AttributeError, AssertionError, ArithmeticError, RuntimeError),
    *(struct.error, zlib.error, Image.DecompressionBombError, Warning),
)


@dataclass(frozen=True)
class Preparation:
    """Makes ``uint8 [channels, size, size]`` of a picture, always in the same way.

    A photograph is turned as its EXIF data say; of an animation the first frame counts; what is
    transparent becomes white; 16 bits become 8, and numbers of 32 bits are scaled from 0 to 1, 255,
    65535 or their largest, whichever holds them. The largest square in the middle is cut out and
    resized by Lanczos.

    Attributes:
        size: Height and width in pixels.
        channels: 1 for grey, 3 for red, green and blue.
        ink: Drawings: light on dark, turned round where the edge of the picture is light; grey
            paper is taken away.
        fit: ``"crop"`` as above, or ``"stretch"``: the whole picture, pressed into the square.

    >>> Preparation(size=28, channels=3)(Image.new("RGB", (640, 480), "red")).shape
    (3, 28, 28)
    """

    size: int
    channels: int
    ink: bool = False
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        size = as_whole(self.size)
        if size is None or size < 1:
            raise InputError(f"size is {self.size!r}; expected a number of pixels, 1 or more")
        object.__setattr__(self, "size", size)
        if self.channels not in (1, 3) or not isinstance(self.ink, bool):
            raise InputError(
                f"channels is {self.channels!r} and ink {self.ink!r}; expected 1 (grey) or 3 "
                "(colours), and True or False"
            )
        object.__setattr__(self, "channels", int(self.channels))
        if self.fit not in get_args(Fit):
            raise InputError(f"fit is {self.fit!r}; expected {' or '.join(get_args(Fit))}")

    def __call__(self, picture: str | Path | bytes | Image.Image) -> Pixels:
        """Prepare a file, its content, or a picture of Pillow, which stays as it is.

        Raises:
            InputError: It cannot be read, or is too large.
        """
        name = str(picture) if isinstance(picture, str | Path) else "the picture"
        source: Any = io.BytesIO(picture) if isinstance(picture, bytes) else picture
        try:
            with quiet_pillow():
                if isinstance(source, Image.Image):
                    return self._prepare(source)
                with Image.open(source) as opened:
                    return self.of_opened(opened)
        except UNREADABLE as error:
            raise InputError(f"{name} is no picture that can be read ({reason(error)})") from error

    def of_opened(self, opened: Image.Image) -> Pixels:
        """Prepare a picture that was just opened and is used for nothing else.

        Raises:
            UNREADABLE: Any of these; within `quiet_pillow` for too many pixels as well.
        """
        # A smaller version of a large JPEG file takes a fraction of the time.
        opened.draft(None, (2 * self.size, 2 * self.size))
        return self._prepare(opened)

    def _prepare(self, picture: Image.Image) -> Pixels:
        image, mode = _eight_bits(_turned(picture)), "L" if self.channels == 1 else "RGB"
        # Of small pictures a copy takes as long as all the rest.
        if image.mode != mode:
            image = image.convert(mode)
        if image.size != (self.size, self.size):
            box = None
            if self.fit == "crop":
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                box = (left, top, left + side, top + side)
            image = image.resize((self.size, self.size), Image.Resampling.LANCZOS, box)
        pixels = np.asarray(image)
        if self.ink:
            pixels = _light_on_dark(pixels)
        if self.channels == 1:
            return pixels[None]
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Inside, too many pixels are an error, and other warnings of Pillow are not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def reason(error: BaseException) -> str:
    """Why a picture cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "no picture of a known format"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels"
    return getattr(error, "strerror", None) or first_line(error) or type(error).__name__


def _turned(image: Image.Image) -> Image.Image:
    """The picture as its EXIF data say that it was held; another one only where it was turned."""
    # Nothing is known of some pictures, of TIFF only when it is asked for, and of PNG in the end.
    if not image.info and image.format not in ("TIFF", "PNG"):
        return image
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    return ImageOps.exif_transpose(image) if turned else image


def _light_on_dark(pixels: Pixels) -> Pixels:
    """A drawing as ink on 0. Where the paper is grey, it becomes 0 and the strongest ink 255."""
    ground, low, high = float(np.median(_border(pixels))), float(pixels.min()), float(pixels.max())
    is_grey = PAPER < ground < 255 - PAPER
    if ground - low > high - ground if is_grey else ground > 127:
        pixels, ground, high = 255 - pixels, 255 - ground, 255 - low
    if not is_grey:
        return pixels
    # The noise of an empty sheet is no drawing.
    contrast = max(high - ground, LEAST_CONTRAST)
    found: Pixels = ((pixels - ground) * (255 / contrast)).clip(0, 255).round().astype(np.uint8)
    return found


def _border(pixels: Pixels) -> Pixels:
    """The pixels along the edge, which show what the background is."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]], axis=None)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The picture with eight bits a channel, and white where it is transparent."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scaled(image))
    if image.mode == "LAB":
        return image.convert("RGB")  # the only mode that Pillow makes of it
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image


def _scaled(image: Image.Image) -> Pixels:
    """Integers of 16 bits, or numbers in whatever range holds them, as bytes."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0)
    top = values.max(initial=0)
    full = 65535.0
    # Only of 16 bits is the range known.
    if not image.mode.startswith("I;16"):
        full = 1.0 if image.mode == "F" and top <= 1 else 255.0 if top <= 255 else max(full, top)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        values[values == clear] = full
    scaled: Pixels = (values.clip(0, full) * (255 / full)).round().astype(np.uint8)
    return scaled
