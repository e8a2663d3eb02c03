"""From the picture of a character to the strokes of a pen."""

import io

import numpy as np
from PIL import Image
from skimage.measure import approximate_polygon
from skimage.morphology import skeletonize

AROUND = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column]
BEHIND = 4  # pixels from which the direction of a stroke is taken


def strokes_of(content):
    """The strokes of a file of Omniglot, black on white: lists of points, in shares of the side."""
    with Image.open(io.BytesIO(content)) as picture:
        ink = ~np.asarray(picture.convert("1"))
    height, width = ink.shape
    return [
        [((column + 0.5) / width, (row + 0.5) / height) for row, column in corners]
        for corners in map(_corners, _lines(skeletonize(ink)))
    ]


def _lines(skeleton):
    """Its pixels in the order of a pen, which begins at an end and turns as little as it can."""
    left = set(map(tuple, np.argwhere(skeleton).tolist()))
    while left:
        line = [min(left, key=lambda pixel: (len(_near(pixel, left)), pixel))]
        left.remove(line[0])
        while near := _near(line[-1], left):
            line.append(max(near, key=lambda pixel: _straight(line, pixel)))
            left.remove(line[-1])
        yield line


def _near(pixel, left):
    row, column = pixel
    return [(row + r, column + c) for r, c in AROUND if (row + r, column + c) in left]


def _straight(line, pixel):
    """The cosine of the turn, in the row of a pixel that is next."""
    before = np.subtract(line[-1], line[-BEHIND:][0])
    after = np.subtract(pixel, line[-1])
    return before @ after / np.linalg.norm(after)


def _corners(line):
    return line if len(line) < 3 else approximate_polygon(np.array(line), 0.7)
