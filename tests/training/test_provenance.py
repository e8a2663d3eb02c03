"""A run that goes on under other conditions says so once; under the same it says nothing."""

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from fewstep.config.recipes import RECIPES
from fewstep.data.glyphs import load_glyphs
from fewstep.data.images import ImageClasses
from fewstep.data.registry import task_sources
from fewstep.distributed.ranks import Ranks
from fewstep.learners.build import learner_for
from fewstep.training.build import workers_for
from fewstep.training.provenance import provenance
from tests.training.shared import train

CONFIG = replace(
    RECIPES["sinusoid"].config, steps=2, val_every=2, val_tasks=2, meta_batch=2, ema_decay=0.9
)
GLYPHS = replace(
    RECIPES["glyphs-5way-1shot"].config,
    **{"filters": 2, "steps": 1, "val_every": 1, "val_tasks": 1, "meta_batch": 1, "workers": 1},
)


def told(config, path):
    """The lines of a run that tell of its bits."""
    console = Console(file=io.StringIO())
    train(config, path, console)
    return [line for line in console.file.getvalue().splitlines() if "bit for bit" in line]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("torch.get_num_threads", lambda: 2), "threads 1, now 2"),
        (("torch.__version__", "2.6.1"), f"torch {torch.__version__}, now 2.6.1"),
        (("numpy.__version__", "1.26.0"), "now 1.26.0"),
        (("platform.machine", lambda: "arm64"), "now Linux arm64"),
        (("torch.backends.cpu.get_cpu_capability", lambda: "NEON"), ", NEON"),
    ],
)
def test_other_conditions_are_told_once(change, line, tmp_path, monkeypatch):
    assert told(CONFIG, tmp_path) == []
    assert told(replace(CONFIG, steps=4), tmp_path) == []
    monkeypatch.setattr(*change)
    assert told(replace(CONFIG, steps=4), tmp_path) == []
    (said,) = told(replace(CONFIG, steps=6), tmp_path)
    assert said.startswith("going on, but perhaps not bit for bit as an undisturbed run: ")
    assert line in said
    assert told(replace(CONFIG, steps=8), tmp_path) == []


@pytest.mark.parametrize(
    "schedule",
    [
        {"final_outer_lr": 1e-5},
        {"multi_step_loss": 0.5, "inner_steps": 2, "test_inner_steps": 2},
        {"first_order_share": 0.5},
    ],
    ids=repr,
)
def test_more_steps_under_a_schedule(schedule, tmp_path):
    config = replace(CONFIG, **schedule)
    assert told(config, tmp_path) == []
    (said,) = told(replace(config, steps=4), tmp_path)
    assert said.endswith("steps of the schedule 2, now 4")


def test_an_end_between_two_validations(tmp_path):
    assert told(replace(CONFIG, steps=3), tmp_path) == []
    (said,) = told(replace(CONFIG, steps=4), tmp_path)
    assert said.endswith("run: extra validation after step 3, now none")
    assert told(replace(CONFIG, steps=6), tmp_path) == []


def test_changed_pictures(tmp_path, monkeypatch):
    def changed():
        images = load_glyphs()
        val = images["val"]
        pictures = val.pictures.copy()
        pictures[-1, 0, 0, 0] ^= 1
        return images | {"val": ImageClasses(pictures, val.names, val.counts)}

    assert told(GLYPHS, tmp_path) == []
    monkeypatch.setattr("fewstep.data.glyphs.load_glyphs", changed)
    (said,) = told(replace(GLYPHS, steps=2), tmp_path)
    assert said.endswith(": data changed")


@pytest.mark.parametrize(("workers", "used"), [(0, 2), (1, 1), (3, 3)])
def test_the_workers_that_are_used(workers, used, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("fewstep.training.build.should_parallelise", lambda *_: True)
    config = replace(GLYPHS, workers=workers)
    tasks = task_sources(config)
    new = learner_for(config, tasks["train"].spec)
    monkeypatch.setattr("fewstep.training.provenance.ranks", lambda: Ranks(0, used))
    assert workers_for(config, new, tasks["train"]) == provenance(new, tasks)["ranks"] == used
