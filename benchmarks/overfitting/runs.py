"""The variants: what each trains, and how its curves are recorded."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from benchmarks.overfitting.failing import Failing, Setup
from fewstep import MAML
from fewstep.data.episodes import EpisodeSampler
from fewstep.data.images import ImageClasses
from fewstep.data.omniglot import load_omniglot
from fewstep.files import write_whole
from fewstep.models.conv4 import conv4
from fewstep.tasks import TaskBatch

WAYS, FILTERS = 10, 32
INNER_LR = {"Adam a run": 0.03, "Adam a batch": 0.03, "Adam a task": 0.03, "SGD": 0.4}
OUTER_LR = 5e-3
CURE_OUTER_LR, CURE_FINAL_OUTER_LR, EMA_DECAY = 3e-4, 1e-5, 0.99
VAL_STEPS = 3


@dataclass(frozen=True)
class Budget:
    """The budget of every variant.

    Attributes:
        steps: Outer steps.
        tasks: Tasks of an outer step.
        val_every: Outer steps between validations.
        val_tasks: Tasks of a validation: the same each time, for each variant and seed.
    """

    steps: int = 4000
    tasks: int = 2
    val_every: int = 50
    val_tasks: int = 30


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        text: What is changed in the failure.
        seeds: How many runs.
        setup: Of the failing code; None for fewstep as it is by default, on the same characters.
    """

    text: str
    seeds: int
    setup: Setup | None


FAILURE = Setup()
VARIANTS = {
    "failure": Variant("all causes together", 3, FAILURE),
    "exact": Variant("the exact gradient", 2, Setup(assigned=False)),
    "run-state": Variant("one inner Adam for the run", 2, Setup(inner="Adam a run")),
    "task-state": Variant("a new inner Adam for each task", 2, Setup(inner="Adam a task")),
    "inner-sgd": Variant("SGD in the inner loop", 2, Setup(inner="SGD")),
    "one-outer-adam": Variant("one outer Adam for the run", 2, Setup(outer="Adam")),
    "queries": Variant("5 query pictures of each class", 2, Setup(queries=5)),
    "classes": Variant("all 1,100 characters", 2, Setup(classes=1100)),
    "rotations": Variant("rotations", 2, Setup(rotations=True)),
    "cure": Variant("fewstep's defaults, same characters", 3, None),
}

Step = Callable[[TaskBatch], float]
Validate = Callable[[TaskBatch], tuple[list[float], list[float]]]


def record(
    name: str, seed: int, path: Path, data_dir: Path | None, budget: Budget
) -> tuple[str, int, float]:
    """Train one variant with one seed, and write its curves as JSON; whole, or not at all.

    Returns:
        The name, the seed and the seconds that it took.
    """
    torch.set_num_threads(1)
    images = load_omniglot(data_dir)
    variant = VARIANTS[name]
    step, validate = _methods(variant.setup, seed, budget)
    training = sampler(images["train"], variant.setup, seed)
    # The protocol of the failure for all: 10-way 1-shot 1-query.
    validation = EpisodeSampler(images["val"], WAYS, 1, 1, 0, "val").batch(range(budget.val_tasks))
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    losses: list[float] = []
    for number in range(budget.steps):
        tasks = range(number * budget.tasks, (number + 1) * budget.tasks)
        losses.append(step(training.batch(tasks)))
        if (number + 1) % budget.val_every == 0:
            val_loss, val_accuracy = validate(validation)
            mean = sum(losses) / len(losses)
            rows.append(
                {
                    "step": number + 1,
                    "training_loss": mean,
                    "validation_loss": val_loss,
                    "validation_accuracy": val_accuracy,
                }
            )
            losses = []
    seconds = time.monotonic() - began
    told = {"variant": name, "seed": seed, "seconds": seconds, "curve": rows}
    write_whole(path, lambda part: part.write_text(json.dumps(told), encoding="utf-8"))
    return name, seed, seconds


def sampler(images: ImageClasses, setup: Setup | None, seed: int) -> EpisodeSampler:
    """Training tasks; the fewer characters are among the more, and the cure has the failure's."""
    setup = setup or Setup(queries=5, rotations=True)
    chosen = images.subset(range(setup.classes))
    return EpisodeSampler(chosen, WAYS, 1, setup.queries, seed, "train", setup.rotations)


def _methods(setup: Setup | None, seed: int, budget: Budget) -> tuple[Step, Validate]:
    torch.manual_seed(seed)
    model = conv4(1, 28, WAYS, FILTERS)
    if setup is None:
        return _cure(MAML(model, INNER_LR["SGD"]), budget.steps)
    failing = Failing(model, setup, INNER_LR[setup.inner], OUTER_LR)
    return failing.outer_step, lambda tasks: failing.validate(tasks, VAL_STEPS, budget.tasks)


def _cure(learner: MAML, steps: int) -> tuple[Step, Validate]:
    """The training of ``fewstep train --final-outer-lr``: Adam, with a cosine for its step size.

    The moving average of the initialisation is evaluated.
    """
    optimizer = torch.optim.Adam(learner.parameters(), CURE_OUTER_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, CURE_FINAL_OUTER_LR)
    averaged = copy.deepcopy(learner)

    def step(tasks: TaskBatch) -> float:
        optimizer.zero_grad()
        loss = learner(tasks)
        loss.backward()
        optimizer.step()
        schedule.step()
        done = schedule.last_epoch
        move = get_ema_multi_avg_fn(min(EMA_DECAY, done / (done + 9)))
        move(list(averaged.parameters()), list(learner.parameters()), done)
        return loss.item()

    def validate(tasks: TaskBatch) -> tuple[list[float], list[float]]:
        found = averaged.evaluate(tasks, VAL_STEPS)
        return found.losses.mean(0).tolist(), found.scores.mean(0).tolist()

    return step, validate


def data_folder() -> Path | None:
    """The folder of the variable FEWSTEP_DATA; without it Omniglot is downloaded."""
    named = os.environ.get("FEWSTEP_DATA")
    return Path(named) if named else None
