"""The examples of the README and of its two first pages, with few steps and small pictures.

The tests run them, and ``make release-check`` does on an installed wheel, which needs no more than
that: ``python -m tests.readme`` for what the extra ``tables`` is for, too.
"""

import re
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]


def blocks(page, language="python"):
    """The code on a page, which is named from the root."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def run_examples():
    """Run them all in the current folder, where they find pictures and tables and leave runs."""
    named = {"README.md": "MAML(", "docs/pictures.md": "ImageFolder(", "docs/tables.md": "Table("}
    own_model, pictures, table = [
        re.sub(r"steps=[12]000", "steps=2", block).replace("84", "16")
        for page, word in named.items()
        for block in blocks(page)
        if word in block
    ]
    _draw_photos()
    names = {}
    exec(pictures, names)
    assert names["classifier"].predict(["new.jpg"])[0] in ("photo0", "photo1", "photo2")
    _write_tables()
    exec(table.replace("n=400", "n=4"), names)
    assert names["regressor"].predict("pupils.csv").shape == (4,)
    exec(own_model, {})


def _draw_photos():
    """Small pictures in the folders that the examples name."""
    random = np.random.default_rng(0)
    for name in [f"photos/photo{c}/{i}" for c in range(10) for i in range(10)] + [
        *(f"my_products/photo{c}/0" for c in range(3)),
        "new",
    ]:
        path = Path(f"{name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (20, 24, 3), np.uint8)).save(path)


def _write_tables():
    from tests.own_rows import rows_of_task, rows_of_tasks

    rows_of_tasks(30, 22).to_csv("exams.csv", index=False)
    rows_of_task("new", 5).to_csv("new_school.csv", index=False)
    rows_of_task("new", 4, seed=1).to_csv("pupils.csv", index=False)


if __name__ == "__main__":
    run_examples()
