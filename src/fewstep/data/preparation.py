"""Preparation: how a picture of any kind becomes the bytes that a network is trained on."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fewstep.errors import InputError, first_line

Fit = Literal["crop", "stretch"]
Pixels = npt.NDArray[np.uint8]
# Pillow reports what it cannot read as any of these, and too many pixels as the last two.
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError),
    *(EOFError, MemoryError, Image.DecompressionBombError, Warning),
)


@dataclass(frozen=True)
class Preparation:
    """Makes ``uint8 [channels, size, size]`` of a picture, always in the same way.

    A photograph is turned as its EXIF data say; of an animation the first frame counts; what is
    transparent becomes white; 16 bits become 8. The largest square in the middle is cut out and
    resized by Lanczos.

    Attributes:
        size: Height and width in pixels.
        channels: 1 for grey, 3 for red, green and blue.
        ink: Drawings: light on dark, turned round where the edge of the picture is light.
        fit: ``"crop"`` as above, or ``"stretch"``: the whole picture, pressed into the square.

    >>> Preparation(size=28, channels=3)(Image.new("RGB", (640, 480), "red")).shape
    (3, 28, 28)
    """

    size: int
    channels: int
    ink: bool = False
    fit: Fit = "crop"

    def __call__(self, picture: str | Path | bytes | Image.Image) -> Pixels:
        """Prepare a file, its content, or a picture of Pillow.

        Raises:
            InputError: It cannot be read, or is too large.
        """
        if isinstance(picture, Image.Image):
            return self._prepare(picture)
        name = "the picture" if isinstance(picture, bytes) else str(picture)
        source: Any = io.BytesIO(picture) if isinstance(picture, bytes) else picture
        with warnings.catch_warnings():
            # Pillow warns of a picture of very many pixels before it decodes them.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                with Image.open(source) as opened:
                    return self._prepare(opened)
            except UNREADABLE as error:
                told = first_line(error) or type(error).__name__
                raise InputError(f"{name} is no picture that can be read ({told})") from error

    def _prepare(self, opened: Image.Image) -> Pixels:
        # A smaller version of a large JPEG file takes a fraction of the time.
        opened.draft(None, (2 * self.size, 2 * self.size))
        turned = ImageOps.exif_transpose(opened)
        image = _eight_bits(turned).convert("L" if self.channels == 1 else "RGB")
        box = None
        if self.fit == "crop":
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            box = (left, top, left + side, top + side)
        small = image.resize((self.size, self.size), Image.Resampling.LANCZOS, box)
        pixels = np.asarray(small)
        if self.ink and np.median(_border(pixels)) > 127:
            pixels = 255 - pixels
        return (
            pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        )


def _border(pixels: Pixels) -> Pixels:
    """The pixels along the edge, which show what the background is."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]], axis=None)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The picture with eight bits a channel, and white where it is transparent."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        top = values.max(initial=0)
        full = 1.0 if image.mode == "F" and top <= 1 else 255.0 if top <= 255 else 65535.0
        return Image.fromarray((values.clip(0, full) * (255 / full)).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image
