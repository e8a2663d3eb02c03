"""Draw characters that were never seen on the page of the demonstration, in a real browser.

    pip install -e '.[browser]'
    python -m scripts.demo_browser http://127.0.0.1:8000/demo/index.html

ADDRESS is what ``fewstep demo`` prints, or the page of the site behind any server of files, as
``python -m http.server --directory site``. Each character of Omniglot's test split is one of five
that are drawn once each, by other hands than the one that is recognised; a mouse draws their ink,
traced into strokes, and drags the slider. Prints how often the right one is first.
"""

import argparse
import os
import random
import re
import shutil
import statistics
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from fewstep.data.archives import zip_pictures
from fewstep.data.omniglot import CHARACTERS, DRAWINGS, load_omniglot
from scripts.strokes import strokes_of

WAYS = 5
THUMB = 16  # pixels of the slider's handle
SCREENS = [(scheme, width) for scheme in ("light", "dark") for width in (360, 1440)]


def tasks_of(characters, count, seed):
    """Characters in fives; each of a five is asked for once.

    Yields:
        Two lists: a drawing of each of the five, and another one of each.
    """
    order = random.Random(seed)
    chosen = order.sample(sorted(characters), count)
    for first in range(0, count, WAYS):
        hands = [order.sample(characters[name], 2) for name in chosen[first : first + WAYS]]
        yield [one for one, _ in hands], [other for _, other in hands]


def files_of(data_dir, split):
    """The files of each character of a split, and a function that reads them."""
    names = load_omniglot(data_dir)[split].names
    archives = {part: zip_pictures(data_dir / "omniglot" / f"{part}.zip") for part in CHARACTERS}
    found = {name: [] for name in names}
    for part, archive in archives.items():
        for file in archive.names:
            character = file.removeprefix(f"{part}/").rpartition("/")[0]
            if character in found:
                found[character].append((part, file))
    assert all(len(files) == DRAWINGS for files in found.values())

    def read(place):
        part, file = place
        ((_, content),) = archives[part].read([file])
        return content

    return found, read


def chromium(playwright):
    """The browser of the system, or else Playwright's own."""
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox"]
    )


class Page:
    """The page as somebody uses it who has a mouse."""

    def __init__(self, page, address):
        self._page = page
        page.on("pageerror", lambda error: print("error on the page:", error))
        page.goto(address)
        page.wait_for_selector("#classes canvas")

    def clear(self):
        """Take all drawings away."""
        self._page.get_by_role("button", name="Clear all").click()

    def draw(self, place, strokes):
        """Draw in the square of that number, over what was drawn there; 5 is the last one."""
        self._page.locator(".pad").nth(place).get_by_role("button", name="Clear").click()
        canvas = self._page.locator(".pad canvas").nth(place)
        canvas.scroll_into_view_if_needed()
        box, mouse = canvas.bounding_box(), self._page.mouse
        for stroke in strokes:
            for number, (x, y) in enumerate(stroke):
                mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
                if not number:
                    mouse.down()
            mouse.up()

    def wait(self):
        """Wait for the answer to what is drawn; its milliseconds, by the page itself."""
        self._page.wait_for_selector("#starts:not([aria-busy]) .start", timeout=120_000)
        return int(re.search(r"(\d+) ms", self._page.locator("#seconds").inner_text())[1])

    def drag(self, steps):
        """Take the slider from where it is to that number of inner steps."""
        slider, mouse = self._page.locator("#steps"), self._page.mouse
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()

        def place(value):
            return box["x"] + THUMB / 2 + (box["width"] - THUMB) * value / 10

        middle = box["y"] + box["height"] / 2
        mouse.move(place(int(slider.input_value())), middle)
        mouse.down()
        mouse.move(place(steps), middle, steps=3)
        mouse.up()
        assert self._page.locator("#step").inner_text() == str(steps)

    def first(self):
        """The number of the class that the first start finds most likely."""
        name = self._page.locator(".start").first.locator("tr.first img").get_attribute("alt")
        return int(name.removeprefix("Symbol ")) - 1


def recognise(page, tasks, read, steps):
    """Whether the right class is first, for each character, and the milliseconds of each answer."""
    right, taken = [], []
    for support, query in tasks:
        page.clear()
        for place, file in enumerate(support):
            page.draw(place, strokes_of(read(file)))
        for label, file in enumerate(query):
            page.draw(WAYS, strokes_of(read(file)))
            taken.append(page.wait())
            page.drag(0)
            page.drag(steps)
            right.append(page.first() == label)
        print(f"{sum(right)} of {len(right)}", end="\r", flush=True)
    return right, taken


def main():
    """Draw, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address")
    parser.add_argument("--characters", type=int, default=100)
    parser.add_argument("--steps", type=int, default=3, help="where the slider is dragged to")
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--seed", type=int, default=0)
    folder = os.environ.get("FEWSTEP_DATA")
    parser.add_argument("--data-dir", type=Path, default=folder, required=not folder)
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    options = parser.parse_args()
    files, read = files_of(Path(options.data_dir), options.split)
    tasks = tasks_of(files, options.characters, options.seed)
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        began = time.perf_counter()
        page = Page(browser.new_page(viewport={"width": 1440, "height": 1000}), options.address)
        right, taken = recognise(page, tasks, read, options.steps)
        print(f"the right one of {WAYS} is first: {sum(right)} of {len(right)} characters")
        print(f"an adaptation: {statistics.median(taken):.0f} ms, at most {max(taken)}")
        print(f"{time.perf_counter() - began:.0f} s in all")
        for scheme, width in SCREENS if options.pictures else ():
            size = {"width": width, "height": 900}
            shown = browser.new_page(viewport=size, color_scheme=scheme)
            page = Page(shown, options.address)
            shown.get_by_role("button", name="Draw them for me").click()
            page.wait()
            page.drag(options.steps)
            shown.screenshot(path=options.pictures / f"{scheme}-{width}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
