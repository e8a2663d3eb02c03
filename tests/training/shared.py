"""Runs without a terminal, and what they leave behind."""

import io
import json

from rich.console import Console

from fewstep.cli.progress import ProgressBar
from fewstep.training import checkpoint
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import trained


def train(config, path, data_dir, console):
    with trained(config, path, data_dir, ProgressBar(console, config)) as run:
        return run


def run(config, path):
    return train(config, path, None, Console(file=io.StringIO()))


def lines(path):
    """The metrics."""
    return [json.loads(line) for line in RunDir(path).metrics.read_text().splitlines()]


def last(path):
    """The last checkpoint's tensors and progress."""
    return checkpoint.load(RunDir(path).last)
