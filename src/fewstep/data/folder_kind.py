"""Finds out what kind of pictures a folder holds: colour or grey, photographs or drawings."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fewstep.data.folder_listing import File
from fewstep.data.folder_reading import has_colours
from fewstep.data.preparation import UNREADABLE, Fit, Preparation, quiet_pillow

SAMPLE = 40  # pictures that are looked at
PAPER = 25  # how far from black or white the background of a drawing may be, of 255
DRAWN = 0.95  # share of the pictures that have to look like drawings


def guess(root: Path, files: Sequence[File], size: int, fit: Fit) -> Preparation:
    """How to prepare the pictures, by some of them, evenly spread.

    They are grey where all of these are, and drawings where at least half of nearly every one is
    black or white, as paper is, and nothing has colours.
    """
    colour, medians = Preparation(size, 3, fit=fit), []
    with quiet_pillow():
        for file in files[:: max(1, len(files) // SAMPLE)]:
            try:
                with Image.open(io.BytesIO((root / file.path).read_bytes())) as picture:
                    pixels = colour.of_opened(picture)
            except UNREADABLE:
                continue
            if has_colours(pixels):
                return colour
            medians.append(float(np.median(pixels)))
    paper = [median <= PAPER or median >= 255 - PAPER for median in medians]
    return Preparation(size, 1, ink=sum(paper) >= max(1, DRAWN * len(paper)), fit=fit)
