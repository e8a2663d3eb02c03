"""Draw the animation of the README: symbols on the page of the demonstration, and its slider.

    pip install -e '.[browser]'
    fewstep demo RUN --beside RUN
    python -m scripts.animation ADDRESS --out docs/images/demo.webp

ADDRESS is what ``fewstep demo`` prints. A mouse draws five of Omniglot's test characters in a real
browser, and one of them again by another hand; then it drags the slider.
"""

import argparse
import io
import os
from itertools import islice
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import sync_playwright

from scripts.demo_browser import WAYS, Page, chromium, files_of, tasks_of
from scripts.strokes import strokes_of

SIZE = {"width": 860, "height": 522}
STEPS = (0, 1, 2, 3, 5, 10)
STROKE, STEP, LAST = 160, 900, 3000  # milliseconds that a frame stays
# Only what is drawn and what is found: the words beside them stand in the README.
STYLE = """
header, footer, #keys, #actions, #problem { display: none !important; }
.pad figcaption { position: relative; font-size: .85rem; }
figcaption button { position: absolute; opacity: 0; }
h2 { font-size: 1.05rem; margin: .35rem 0; }
#classes { grid-template-columns: repeat(5, 1fr) !important; gap: .6rem; max-width: 31rem; }
.side { grid-template-columns: 8.5rem 1fr !important; gap: 0 1.2rem; }
#starts { grid-template-columns: repeat(4, 1fr) !important; gap: .6rem; }
.start { padding: .4rem; font-size: .8rem; }
.start caption { height: 4.4em; }
.start th img { width: 1.6rem; height: 1.6rem; }
.start td:last-child { width: 3.4rem; padding-left: .3rem; }
.bar { transition: none !important; }
"""


def filmed(page, shot, task, read):
    """Draw a task and drag the slider; yields pictures and how long each is shown."""
    support, query = task
    for place, file in enumerate(support):
        page.draw(place, strokes_of(read(file)))
        yield shot(), 2 * STROKE
    drawn = []
    for stroke in strokes_of(read(query[2])):
        drawn.append(stroke)
        page.draw(WAYS, drawn)
        page.wait()
        page.drag(0)
        yield shot(), 2 * STROKE
    for step in STEPS:
        page.drag(step)
        yield shot(), LAST if step == STEPS[-1] else STEP


def main():
    """Film, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("address")
    parser.add_argument("--out", type=Path, default=Path("docs/images/demo.webp"))
    parser.add_argument("--seed", type=int, default=0, help="of the characters")
    folder = os.environ.get("FEWSTEP_DATA")
    parser.add_argument("--data-dir", type=Path, default=folder, required=not folder)
    options = parser.parse_args()
    files, read = files_of(Path(options.data_dir), "test")
    task = next(islice(tasks_of(files, WAYS, options.seed), 1))
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        window = browser.new_page(viewport=SIZE, color_scheme="light", bypass_csp=True)
        page = Page(window, options.address)
        window.add_style_tag(content=STYLE)

        def shot():
            picture = Image.open(io.BytesIO(window.screenshot())).convert("RGB")
            # An edge, where the page around it is dark.
            return ImageOps.expand(picture, 1, "#d0d7de")

        frames, shown = zip(*filmed(page, shot, task, read), strict=True)
        browser.close()
    first, *others = frames
    first.save(
        options.out,
        save_all=True,
        append_images=others,
        duration=list(shown),
        loop=0,
        quality=80,
        method=6,
        minimize_size=True,
    )
    print(f"{options.out}: {len(frames)} frames, {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
