"""Symbols as a person draws them: dark on white, each time a little otherwise."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

SYMBOLS = (
    [[(0.5, 0.15), (0.85, 0.5), (0.5, 0.85), (0.15, 0.5), (0.5, 0.15)]],
    [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]],
    [[(0.2, 0.2), (0.8, 0.2)], [(0.5, 0.2), (0.5, 0.85)]],
    [[(0.2, 0.15), (0.2, 0.85), (0.8, 0.85)]],
    [[(0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)]],
)


def drawn(symbol, seed=0, kind="PNG", side=128):
    """The file of a drawing."""
    random = np.random.default_rng((seed, symbol))
    picture = Image.new("L", (side, side), "white")
    for stroke in SYMBOLS[symbol]:
        moved = side * (np.array(stroke) + random.uniform(-0.04, 0.04, (len(stroke), 2)))
        ImageDraw.Draw(picture).line([tuple(point) for point in moved], "black", side // 14)
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def text(content):
    return base64.b64encode(content).decode()


def question(ways=5, query=3):
    """The question of a page: a drawing of each symbol, and another of one of them."""
    support = [[text(drawn(symbol))] for symbol in range(ways)]
    return {"support": support, "query": text(drawn(query, seed=1))}
