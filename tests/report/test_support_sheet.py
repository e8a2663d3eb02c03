"""The picture of an adaptation is of bounded size, and in colour where the pictures are."""

import io

import numpy as np
import pytest
from PIL import Image

from fewstep.report.support_sheet import RIGHT, TILE, WRONG, Row, Tile, sheet

RED = np.array([255, 0, 0], np.uint8)[:, None, None].repeat(16, 1).repeat(16, 2)


def opened(content):
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_pictures_and_edges_have_their_colours():
    tiles = [Tile(RED, ("owl",), RIGHT), Tile(RED, ("crow",), WRONG)]
    picture = opened(sheet("title", [Row("owl", [Tile(RED)], tiles)]))
    colours = {colour: many for many, colour in picture.getcolors(2**20)}
    assert colours[(255, 0, 0)] > 2.5 * TILE**2
    assert colours[(0, 0x72, 0xB2)] > 4 * TILE
    assert colours[(0xD5, 0x5E, 0)] > 4 * TILE


def test_ink_is_drawn_dark_on_light():
    ink = np.zeros((1, 8, 8), np.uint8)
    ink[0, 4] = 255
    found = [opened(sheet("", [Row("a", [Tile(ink)])], ink=flag)) for flag in (True, False)]
    black = [{c: n for n, c in one.getcolors(2**20)}[(0, 0, 0)] for one in found]
    assert black[0] < TILE**2 / 2 < black[1]


def test_many_classes_and_pictures_are_counted_instead():
    rows = [Row(f"a class of a very long name {n}" * 9, [Tile(RED)] * 50) for n in range(300)]
    query = [Row(row.name, row.support, [Tile(RED, ("x" * 300, "9%"))] * 400) for row in rows]
    for some in (rows, query):
        picture = opened(sheet("title " * 99, some))
        assert picture.width < 1600
        assert picture.height < 2500


def test_a_row_without_pictures():
    picture = opened(sheet("Ωмега 鳥", [Row("empty"), Row("one", [], [Tile(RED, ("owl",))])]))
    assert picture.width >= 480


def test_a_title_as_an_adaptation_has_it_is_whole():
    title = "5 classes; accuracy 76.0% of 25 {} pictures, each left out in turn (56% to 88%)"
    pictures = [sheet(title.format(w), [Row("a", [Tile(RED)])]) for w in ("support", "suppose")]
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize("name", ["two\nlines", "no text \udcff", "a\ttab", "名前", "\x1b[31m", ""])
def test_names_of_any_kind_are_drawn(name):
    content = sheet(name, [Row(name, [Tile(RED)], [Tile(RED, (name, "99%"), RIGHT)])])
    assert opened(content).width > TILE
