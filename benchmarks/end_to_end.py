"""An outer step of a whole training beside its gradient alone.

``python -m benchmarks.end_to_end [--device cuda] [--budget fast] [--steps 3000] [--data-dir DIR]``
trains a recipe with the schedule of its paper, or its fast one, by `fewstep.fit`, with validations
and checkpoints in a run directory, and then times the gradient of the same learner on tasks that
lie on the device. It prints one JSON object: both in milliseconds, their ratio, the whole schedule
in minutes (extrapolated, validations included), and the host's microseconds for each part of an
outer step, without waiting for the device.

Without a data folder, or ``FEWSTEP_DATA``, pictures are noise, as many and as large as Omniglot's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch

import fewstep
from benchmarks.device import wait
from fewstep.choices import Split
from fewstep.config.recipes import find_recipe, with_budget
from fewstep.config.schema import Config
from fewstep.data.episodes import episodes
from fewstep.data.images import ImageClasses
from fewstep.data.registry import task_sources
from fewstep.data.source import TaskSource, made_on
from fewstep.evaluation.evaluate import Result
from fewstep.learners.base import Learner
from fewstep.learners.build import learner_for
from fewstep.runtime.rng import seed_torch
from fewstep.training import fit
from fewstep.training.figures import step_figures
from fewstep.training.optimizer import optimizer_of
from fewstep.training.reporter import Figures, FitReporter
from fewstep.training.state import State


class Clock(FitReporter):
    """Notes when figures come, which are of outer steps that are done."""

    every = 1  # outer steps between validations

    def __init__(self, _: object, **given: Any) -> None:
        super().__init__((), **given)
        self.told: list[tuple[int, float]] = []
        self.validations: list[float] = []

    def step(self, step: int, figures: Figures) -> None:
        """Note the time."""
        super().step(step, figures)
        self.told.append((step, time.perf_counter()))

    def validated(self, step: int, figures: Figures, result: Result) -> None:
        """Note the time since the last outer step."""
        super().validated(step, figures, result)
        self.validations.append(time.perf_counter() - self.told[-1][1])

    def summary(self, first: int) -> tuple[float, float]:
        """Seconds of an outer step after the first ones, and of a validation."""
        step, at = next(told for told in self.told if told[0] >= first)
        last, end = self.told[-1]
        between = sum(self.validations[step // self.every : -1])
        return (end - at - between) / (last - step), median(self.validations)


def sources(config: Config) -> Mapping[Split, TaskSource]:
    """The tasks of a config."""
    if config.data_dir is not None:
        return task_sources(config)
    random = np.random.default_rng(0)

    def noise(classes: int) -> ImageClasses:
        pictures = random.integers(0, 256, (20 * classes, 1, 28, 28), np.uint8)
        return ImageClasses(pictures, tuple(map(str, range(classes))), np.full(classes, 20))

    return episodes({"train": noise(1100), "val": noise(100)}, config)


def gradient_alone(learner: Learner, tasks: fewstep.TaskBatch, times: int) -> tuple[float, float]:
    """Seconds of a gradient: the median, waiting for each; and of many, one behind the other."""
    each = []
    for number in range(times):
        wait(tasks.device.type)
        began = time.perf_counter()
        learner.differentiate(tasks, number)
        wait(tasks.device.type)
        each.append(time.perf_counter() - began)
    began = time.perf_counter()
    for number in range(times):
        learner.differentiate(tasks, number)
    wait(tasks.device.type)
    return median(each), (time.perf_counter() - began) / times


def host_parts(learner: Learner, source: Any, config: Config, times: int) -> dict[str, int]:
    """Microseconds of the host for each part of an outer step, median, not waiting meanwhile."""
    device = torch.device(config.device)
    here = made_on(source, device)
    tasks = here.batch(range(config.meta_batch)).to(device)
    optimizer = optimizer_of(config.optimizer, learner, config.outer_lr)
    state = State(learner, optimizer, config.ema_decay)
    found = learner.differentiate(tasks, 0)
    numbers, starts = range(config.meta_batch), itertools.count(0, config.meta_batch)

    def drawn() -> object:
        first = next(starts)
        return here.batch(range(first, first + config.meta_batch)).to(device)

    parts: dict[str, Callable[[], object]] = {
        "tasks": drawn,
        "seed": lambda: seed_torch(7, device),
        "gradient": lambda: learner.differentiate(tasks, 0),
        "figures": lambda: step_figures(1, numbers, found),
        "optimiser": lambda: state.descend(found.gradient, None),
        "average": state.average_in,
    }
    told = {}
    for name, part in parts.items():
        each = []
        for _ in range(times):
            wait(device.type)
            began = time.perf_counter()
            part()
            each.append(time.perf_counter() - began)
        told[name] = round(1e6 * median(each))
    return told


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="omniglot-5way-1shot")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--first", type=int, default=200, help="outer steps before it is timed")
    parser.add_argument("--times", type=int, default=100, help="gradients that are timed")
    parser.add_argument("--budget", choices=("paper", "fast"), default="paper")
    parser.add_argument("--meta-batch", type=int, help="tasks of an outer step, if not its own")
    parser.add_argument("--val-every", type=int, default=500)
    parser.add_argument("--execution", default="auto", help="captured: of short trials too")
    parser.add_argument("--val-tasks", type=int, default=200)
    parser.add_argument("--data-dir", default=os.environ.get("FEWSTEP_DATA"))
    given = parser.parse_args(arguments)
    config = find_recipe(given.recipe).config
    if config.budget:
        config = with_budget(config, given.budget)
    steps = config.steps
    config = replace(
        config,
        device=given.device,
        execution=given.execution,
        meta_batch=given.meta_batch or config.meta_batch,
        steps=given.steps,
        data_dir=given.data_dir,
        workers=1,
    )
    tasks = sources(config)
    learner = learner_for(config, tasks["train"].spec)
    clocks: list[Clock] = []

    def clock(callbacks: object, **others: Any) -> Clock:
        clocks.append(Clock(callbacks, **others))
        clocks[-1].every = given.val_every
        return clocks[-1]

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(fit, "FitReporter", clock):
        fewstep.fit(
            learner,
            tasks["train"],
            tasks["val"],
            optimizer=optimizer_of(config.optimizer, learner, config.outer_lr),
            steps=config.steps,
            run_dir=Path(folder, "run"),
            meta_batch=config.meta_batch,
            val_every=given.val_every,
            val_tasks=given.val_tasks,
            val_steps=config.test_inner_steps,
            ema_decay=config.ema_decay,
            checkpoint_every=config.checkpoint_every,
        )
    whole = time.perf_counter() - began
    step, validation = clocks[0].summary(given.first)
    device = torch.device(given.device)
    batch = made_on(tasks["train"], device).batch(range(config.meta_batch)).to(device)
    alone, behind = gradient_alone(learner, batch, given.times)
    minutes = (steps * step + steps / given.val_every * validation) / 60
    told = {
        "recipe": given.recipe,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else given.device,
        "tasks": config.meta_batch,
        "step_ms": 1000 * step,
        "gradient_ms": 1000 * alone,
        "gradient_not_waiting_ms": 1000 * behind,
        "ratio": step / alone,
        "validation_ms": 1000 * validation,
        f"minutes_of_{steps}": minutes,
        "seconds_of_the_run": whole,
        "host_us": host_parts(learner, tasks["train"], config, given.times),
    }
    print(json.dumps(told, indent=2))
    return told


if __name__ == "__main__":
    main()
