"""Drawings of a user's own, as files in folders."""

import random

from PIL import Image, ImageDraw

LINES = {
    "bar": lambda at: [(at, 6, at, 34)],
    "cross": lambda at: [(8, at, 32, at), (at, 6, at, 34)],
    "ladder": lambda at: [(10, 6, 10, 34), (30, 6, 30, 34), (10, at, 30, at)],
}


def drawing(kind, seed=0, ink=0, paper=255):
    """A drawing of 40x40, dark on light unless told otherwise; another seed draws it elsewhere."""
    image = Image.new("L", (40, 40), paper)
    pen = ImageDraw.Draw(image)
    at = random.Random(f"{kind} {seed}").randint(14, 26)
    for line in LINES[kind](at):
        pen.line(line, ink, 3)
    # So that no two files are the same.
    image.putpixel((0, seed), paper - 1 if paper else 1)
    return image


def write_classes(folder, shots, first=0, kinds=LINES):
    """A folder a kind with so many drawings, or as many as each is said to have."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        many = shots[kind] if isinstance(shots, dict) else shots
        for seed in range(first, first + many):
            drawing(kind, seed).save(folder / kind / f"{seed}.png")
    return folder
