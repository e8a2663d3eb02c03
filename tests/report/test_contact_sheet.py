"""A contact sheet shows pictures as they are learned, whatever the classes are called."""

import numpy as np
from PIL import Image

from fewstep.data import ImageClasses, Preparation
from fewstep.report.contact_sheet import _row, draw_contact_sheet


def images(names, channels=3, ink=False, size=20):
    pictures = np.full((2 * len(names), channels, size, size), 200, np.uint8)
    counts = np.full(len(names), 2, np.int64)
    return ImageClasses(pictures, tuple(names), counts, Preparation(size, channels, ink=ink))


def test_odd_names_and_many_classes(tmp_path):
    names = ["猫", "$x$", "_", "a\nb", "\udcff", "b" * 300, *map(str, range(60))]
    splits = {"train": images(names), "val": images(["owl"]), "test": images([])}
    draw_contact_sheet(tmp_path / "sheet.png", splits, "told of $photos$")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert max(sheet.size) < 3000


def test_ink_is_dark_on_paper():
    row = _row(images(["owl"], 1, ink=True), 0)
    assert row.shape == (21, 8 * 21, 3)
    assert row[0, 0].tolist() == [55, 55, 55]
    assert _row(images(["owl"], 1), 0)[0, 0].tolist() == [200, 200, 200]
    # Less than eight pictures leave white.
    assert row[:, 2 * 21 :].min() == 255


def test_large_pictures_are_shown_small():
    assert _row(images(["owl"], size=500), 0).shape[0] < 100
