"""A contact sheet: some pictures of each class, as they are learned, before anything is learned."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fewstep.choices import Split
from fewstep.data.images import ImageClasses
from fewstep.files import write_whole

CLASSES, PICTURES = 12, 8  # of each split, and of each class
PIXELS = 84  # most that are shown along a side of a picture
_WORDS = {"train": "training", "val": "validation", "test": "test"}


def draw_contact_sheet(path: Path, splits: Mapping[Split, ImageClasses], told: str) -> None:
    """Draw a row a class, split by split, as a PNG file; ``told`` is the headline."""
    rows, names = [], []
    for split, images in splits.items():
        # Evenly spread: classes of one kind often stand side by side.
        shown = np.unique(np.linspace(0, max(len(images) - 1, 0), CLASSES).round().astype(int))
        for number in shown[: len(images)]:
            rows.append(_row(images, int(number)))
            names.append(
                f"{_WORDS[split]}  {_short(images.names[number])}  {images.counts[number]}"
            )
    height, width, _ = rows[0].shape
    figure = Figure(figsize=(10, 1 + 6.5 * len(rows) * height / width), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.concatenate(rows), interpolation="nearest", aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([height * (row + 0.5) for row in range(len(rows))], names, fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_title(told, fontsize=9, loc="left", parse_math=False)
    with warnings.catch_warnings():
        # A name may be in a script that the font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        write_whole(path, lambda part: figure.savefig(part, dpi=100, format="png"))


def _row(images: ImageClasses, number: int) -> npt.NDArray[np.uint8]:
    """The first pictures of a class, ``[height, width, 3]``, on white and ink dark."""
    pictures = images.of(number)[:PICTURES]
    step = -(-pictures.shape[-1] // PIXELS)
    pictures = np.asarray(pictures)[..., ::step, ::step]
    if images.preparation is not None and images.preparation.ink:
        pictures = 255 - pictures
    height, width = pictures.shape[2:]
    gap = max(1, width // 20)
    row = np.full((height + gap, PICTURES * (width + gap), 3), 255, np.uint8)
    for place, picture in enumerate(pictures):
        left = place * (width + gap)
        row[:height, left : left + width] = picture.transpose(1, 2, 0)
    return row


def _short(name: str) -> str:
    """The end of a long name, which tells most; without a line's end."""
    one_line = name.encode("utf-8", "replace").decode().replace("\n", " ")
    return one_line if len(one_line) <= 30 else f"…{one_line[-29:]}"
