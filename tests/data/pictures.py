"""Folders of small pictures, each different from all others."""

import io

import numpy as np
from PIL import Image

from fewstep.data.images import ImageClasses


def noise(seed, mode="RGB", size=(20, 16)):
    """A picture of random pixels."""
    shape = (size[1], size[0], *([3] if mode == "RGB" else []))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def write_folder(folder, classes=3, pictures=4, mode="RGB", prefix="class"):
    """A folder a class, with as many pictures; all on the file system's clock."""
    for number in range(classes):
        place = folder / f"{prefix}{number:02}"
        place.mkdir(parents=True)
        for picture in range(pictures):
            seed = [*prefix.encode(), number, picture]
            noise(seed, mode).save(place / f"{picture:02}.png")
    return folder


def encoded(image, kind="PNG", **how):
    """The bytes of a picture file."""
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def drawing(seed, paper=255, ink=0):
    """A few strokes on paper."""
    pixels = np.full((30, 30), paper, np.uint8)
    for place in np.random.default_rng(seed).integers(2, 28, 3):
        pixels[place - 1 : place + 1, 4:26] = ink
    return Image.fromarray(pixels)


def random_classes(counts=(9, 4, 7, 6, 5, 8), side=(6, 6), channels=1):
    """Pictures of noise, so many of each class."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (sum(counts), channels, *side), np.uint8)
    return ImageClasses(pictures, tuple(map(str, range(len(counts)))), np.array(counts))
