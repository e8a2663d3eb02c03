"""A picture of what a model was adapted to, and of what it predicts: a row a class."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

TILE, GAP, LINE = 72, 8, 17  # pixels: a picture, what is between two, a line of text
NAME = 150  # pixels that the name of a class may take
MOST_TITLE = 900  # pixels of width that a title alone may ask for
MOST_ROWS, MOST_SUPPORT, MOST_QUERY = 20, 5, 10
BLACK, GREY, RIGHT, WRONG = "black", "#666666", "#0072B2", "#D55E00"

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """A picture ``uint8 [channels, size, size]`` with lines of text below it."""

    pixels: Pixels
    lines: tuple[str, ...] = ()
    colour: str = GREY


@dataclass(frozen=True)
class Row:
    """The pictures of one class: those of the support set, and those that were predicted."""

    name: str
    support: list[Tile] = field(default_factory=list)
    query: list[Tile] = field(default_factory=list)


def sheet(title: str, rows: Sequence[Row], *, ink: bool = False) -> bytes:
    """A PNG file with the first rows, and of each the first pictures; the rest is counted.

    Args:
        title: The line above.
        rows: One a class.
        ink: The pictures are ink, 255 on 0: they are drawn dark on light.
    """
    shown = rows[:MOST_ROWS]
    asked = max((min(len(row.query), MOST_QUERY) for row in shown), default=0)
    taught = max((min(len(row.support), MOST_SUPPORT) for row in shown), default=1)
    tiles = [tile for row in shown for tile in (*row.support, *row.query)]
    lines = max((len(tile.lines) for tile in tiles), default=0)
    high, wide = TILE + lines * LINE + GAP, TILE + GAP
    start = NAME + taught * wide + 2 * GAP
    font = _font(13)
    width = max(start + asked * wide + GAP, 480)
    title = _fitted(title, font, max(width, MOST_TITLE) - 2 * GAP)
    width = max(width, int(font.getlength(title)) + 1 + 2 * GAP)
    top = 2 * LINE + 2 * GAP
    more = f"the first {len(shown)} of {len(rows)} classes" if len(shown) < len(rows) else ""
    image = Image.new(
        "RGB", (width, top + len(shown) * high + (LINE + GAP if more else 0)), "white"
    )
    pen = ImageDraw.Draw(image)
    pen.text((GAP, GAP), title, BLACK, font)
    pen.text((NAME, GAP + LINE), "support", GREY, _font(11))
    if asked:
        pen.text((start, GAP + LINE), "query, with what is predicted", GREY, _font(11))
        pen.line((start - 2 * GAP, top - LINE, start - 2 * GAP, top + len(shown) * high), "#cccccc")
    for number, row in enumerate(shown):
        y = top + number * high
        pen.text(
            (GAP, y + TILE // 2 - LINE // 2), _fitted(row.name, font, NAME - 2 * GAP), BLACK, font
        )
        for of_row, x, most in ((row.support, NAME, MOST_SUPPORT), (row.query, start, MOST_QUERY)):
            for place, tile in enumerate(of_row[:most]):
                _draw(image, pen, tile, (x + place * wide, y), ink)
            if len(of_row) > most:
                last = x + (most - 1) * wide
                _draw_count(pen, f"+{len(of_row) - most}", (last + TILE, y))
    if more:
        pen.text((GAP, top + len(shown) * high), more, GREY, font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _draw(
    image: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, at: tuple[int, int], ink: bool
) -> None:
    pixels = 255 - tile.pixels if ink else tile.pixels
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    # Small pictures are shown as the pixels that the network sees.
    how = Image.Resampling.NEAREST if picture.width <= TILE else Image.Resampling.LANCZOS
    x, y = at
    image.paste(picture.convert("RGB").resize((TILE, TILE), how), at)
    edge = 2 if tile.colour in (RIGHT, WRONG) else 1
    pen.rectangle(
        (x - edge, y - edge, x + TILE + edge - 1, y + TILE + edge - 1), None, tile.colour, edge
    )
    font = _font(11)
    for number, line in enumerate(tile.lines):
        place = (x, y + TILE + 2 + number * (LINE - 2))
        pen.text(place, _fitted(line, font, TILE), tile.colour, font)


def _draw_count(pen: ImageDraw.ImageDraw, text: str, corner: tuple[int, int]) -> None:
    """How many more pictures there are, in the upper right corner of the last one."""
    font, (x, y) = _font(11), corner
    pen.rectangle((x - font.getlength(text) - 6, y, x - 1, y + LINE - 2), "white", GREY)
    pen.text((x - font.getlength(text) - 3, y + 1), text, BLACK, font)


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, its middle left out where it is too long: names often differ at their end.

    What is no character of a line, as a line's end, becomes a space: fonts cannot measure it.
    """
    text = "".join(c if c.isprintable() else " " for c in text)
    if font.getlength(text) <= width:
        return text

    def shortened(kept: int) -> str:
        head = (kept + 1) // 2
        return f"{text[:head]}…{text[len(text) - kept + head :]}"

    def length(kept: int) -> float:
        return font.getlength(shortened(kept))

    return shortened(max(0, bisect_right(range(len(text)), width, key=length) - 1))


def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu, which has many scripts, from where Matplotlib keeps it, without importing that."""
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), size)
