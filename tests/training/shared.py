"""Runs without a terminal, and what they leave behind."""

import io
import json
from dataclasses import replace

import torch
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import fewstep
from fewstep.cli.progress import ProgressBar
from fewstep.config.recipes import RECIPES
from fewstep.data.sinusoid import SinusoidSampler
from fewstep.training import checkpoint
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import trained

SINUSOID = replace(
    RECIPES["sinusoid"].config,
    steps=40,
    val_every=10,
    val_tasks=10,
    checkpoint_every=5,
    meta_batch=5,
)


GLYPHS = replace(
    RECIPES["glyphs-5way-1shot"].config,
    filters=4,
    meta_batch=2,
    steps=3,
    val_every=3,
    val_tasks=2,
    workers=1,
)


FIT = {
    **{"train": SinusoidSampler(5, 5), "validation": SinusoidSampler(5, 5, split="val")},
    **{"steps": 6, "meta_batch": 3, "val_every": 2, "val_tasks": 4, "checkpoint_every": 4},
}
"""Arguments of `fewstep.fit` for a short training."""


def small_learner(**settings):
    """The same in every process."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1))
    return fewstep.MAML(model, inner_lr=0.01, loss="mse", **settings)


def train(config, path, console):
    with trained(config, path, ProgressBar(console, config)) as run:
        return run


def run(config, path):
    return train(config, path, Console(file=io.StringIO()))


def lines(path):
    """The metrics."""
    return [json.loads(line) for line in RunDir(path).metrics.read_text().splitlines()]


def last(path):
    """The last checkpoint's tensors and progress."""
    return checkpoint.load(RunDir(path).last)


def same(one, other):
    names = {path.name for path in one.iterdir()}
    if names != {path.name for path in other.iterdir()}:
        return False
    tops = [{path.name for path in (run / "top").glob("*")} for run in (one, other)]
    if tops[0] != tops[1] or not all(
        _same_checkpoint(one / "top" / n, other / "top" / n) for n in tops[0]
    ):
        return False
    if (one / "metrics.jsonl").read_text() != (other / "metrics.jsonl").read_text():
        return False
    return all(
        _same_checkpoint(one / n, other / n) for n in ("last.safetensors", "best.safetensors")
    )


def _same_checkpoint(one, other):
    a, b = load_file(one), load_file(other)
    equal = a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)
    return equal and _progress(one) == _progress(other)


def _progress(path):
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["progress"]) | {"seconds": 0}
