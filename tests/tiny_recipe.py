"""A recipe with budgets that trains in a moment, with a paper that has a figure for it."""

import json
from dataclasses import replace

from fewstep.config import budgets, recipes
from fewstep.config.recipes import RECIPES, Recipe, with_budget
from fewstep.published import papers
from fewstep.published.papers import PaperFigure

NAME = "glyphs-tiny"
SETTINGS = {
    **{"filters": 4, "meta_batch": 2, "q_query": 2, "test_q_query": 1, "test_inner_steps": 1},
    **{"steps": 6, "val_every": 1, "val_tasks": 2, "test_tasks": 3, "workers": 1},
    **{"ema_decay": 0.0, "recipe": NAME},
}

OF_MORE_CLASSES = {"n_way": 7, "test_n_way": 5, "head_rows": "shared", "optimizer": "muon"}
EXAMPLE = {
    **{"recipe": "omniglot-5way-1shot", "algorithm": "maml", "budget": "fast", "models": 1},
    **{"norm": "transductive", "calibration_error": 0.01, "tasks": 600, "seed": 0},
    **{"outer_steps": 5, "kept_after": [5], "wall_seconds": 60.0, "device": "a processor"},
    **{
        "protocol": "600 tasks",
        "command": "fewstep train",
        "commit": "abc",
        "settings": "0-5",
        "versions": {},
    },
}
"""A result but for its accuracies, as the fields of a file."""


def add(patch, accuracy=0.5, half=0.5, meaning="interval"):
    """Add it to the recipes, with the figure of its paper; for as long as the patch holds."""
    plain = replace(RECIPES["glyphs-5way-1shot"].config, **SETTINGS)
    patch.setitem(recipes._PLAIN, NAME, (plain, "glyphs"))
    patch.setitem(budgets.FAST, NAME, {"all": {"outer_lr": 0.01} | OF_MORE_CLASSES, "maml": {}})
    patch.setitem(budgets.PAPER, NAME, {"all": {"outer_lr": 0.001}})
    patch.setitem(RECIPES, NAME, Recipe(with_budget(plain, "fast"), "glyphs"))
    figure = PaperFigure(accuracy, half, meaning, "read", "A paper", "some tasks")
    patch.setitem(papers._FIGURES, (NAME, "maml"), figure)


def draw_nothing(patch):
    """Let a final test leave empty pictures."""
    from fewstep.cli import results

    for name in ("draw_curves", "draw_reliability", "draw_task"):
        patch.setattr(results, name, lambda file, *_: file.touch())


def write(folder, measured, **changes):
    """A file of results, with changes."""
    (folder / measured.file_name).write_text(json.dumps(measured.as_json() | changes))
