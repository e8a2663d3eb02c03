"""How fast a folder of many small pictures is read, beside what the decoder alone takes.

``python -m benchmarks.reading`` makes 100,000 colour pictures of 32x32 in a temporary folder, and
reads them in turns: by Pillow alone (open, convert), in as many processes, and by `ImageFolder`.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES, PICTURES, SIDE = 500, 200, 32
ROUNDS = 3


def main() -> None:
    """Make the pictures, time both ways, and print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        files = make(Path(folder, "pictures"))
        alone, read, again = [], [], []
        for number in range(ROUNDS):
            alone.append(seconds(lambda: decode_all(files)))
            os.environ["FEWSTEP_CACHE"] = str(Path(folder, f"cache{number}"))
            read.append(seconds(lambda: open_folder(Path(folder, "pictures"))))
            again.append(seconds(lambda: open_folder(Path(folder, "pictures"))))
            print(f"decoder {alone[-1]:.2f} s, folder {read[-1]:.2f} s, again {again[-1]:.2f} s")
    share = statistics.median(alone) / statistics.median(read)
    print(f"{len(files):,} pictures: {share:.0%} of the decoder's rate")


def make(folder: Path) -> list[str]:
    """Write the pictures; return their paths."""
    files = []
    for number in range(CLASSES):
        of_class = folder / f"class{number:03}"
        of_class.mkdir(parents=True)
        random = np.random.default_rng(number)
        smooth = random.integers(0, 256, (PICTURES, 8, 8, 3), np.uint8)
        for picture, pixels in enumerate(smooth):
            path = str(of_class / f"{picture:03}.png")
            Image.fromarray(pixels).resize((SIDE, SIDE)).save(path)
            files.append(path)
    return files


def decode_all(files: list[str]) -> None:
    """Decode all files in as many processes as there are cores."""
    parts = [files[first : first + 256] for first in range(0, len(files), 256)]
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for _ in pool.imap_unordered(decode, parts):
            pass


def decode(files: list[str]) -> None:
    """Decode some files, and do nothing with them."""
    for file in files:
        with Image.open(file) as picture:
            picture.convert("RGB")


def open_folder(folder: Path) -> None:
    """Read a folder, or what was kept of it."""
    from fewstep.data import ImageFolder

    ImageFolder(folder, size=SIDE)


def seconds(run: Callable[[], None]) -> float:
    """How long a function takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
