"""A training in pieces, by fewstep's own loop or by a peer's; in a process of its own.

``python -m benchmarks.time_to_accuracy.training ASK``: ``ASK`` is an object in JSON. With
``seconds`` it trains so long at most, in ``folder``; with ``rate`` it trains a few outer steps,
and prints the seconds of one, and of what comes before the first.
"""

from __future__ import annotations

from fewstep import keep_memory

if __name__ == "__main__":
    # All contestants gain by it.
    keep_memory()

import json
import os
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.time_to_accuracy import peer
from benchmarks.time_to_accuracy.contestants import Training
from benchmarks.time_to_accuracy.points import PointKeeper, Until, progress_of
from fewstep.config.schema import Config
from fewstep.data.registry import task_sources
from fewstep.distributed.ranks import joined
from fewstep.distributed.shared import part_of
from fewstep.evaluation.evaluate import device_of
from fewstep.learners.build import learner_for
from fewstep.runtime.children import end_with
from fewstep.training.build import workers_for
from fewstep.training.interrupt import Interrupted
from fewstep.training.keeping import kept_in
from fewstep.training.loop import OuterLoop
from fewstep.training.optimizer import optimizer_of
from fewstep.training.provenance import provenance
from fewstep.training.runs import outer_settings
from fewstep.training.streams import stream_of


def train(training: Training, run: Path, seconds: float) -> None:
    """Train from where the run is, for so long at most or to its end."""
    if training.by_peer:
        peer.train(training.config, run, seconds)
    else:
        by_fewstep(training.config, run, seconds)


def by_fewstep(config: Config, run: Path, seconds: float) -> None:
    """Train by the loop of ``fewstep train``, without validation."""
    tasks = task_sources(config)["train"]
    learner = learner_for(config, tasks.spec)
    settings = replace(outer_settings(config, tasks), remedy="start again in another folder", top=0)
    try:
        with (
            joined(workers_for(config, learner, tasks)) as here,
            kept_in(run, settings) as keeper,
        ):
            part = part_of(here, learner)
            OuterLoop(
                settings=settings,
                learner=learner,
                optimizer=optimizer_of(config.optimizer, learner, config.outer_lr),
                train=stream_of(tasks, config.meta_batch, config.seed, device_of(learner), part),
                validation=None,
                keeper=PointKeeper(keeper.run, by_first=not here.is_first),
                reporter=Until(seconds),
                conditions=provenance(learner, {"train": tasks}),
            ).run()
    except Interrupted:
        pass


def rate(training: Training, steps: int) -> dict[str, float]:
    """Seconds of an outer step, of what comes before the first, and of what is done but once.

    Trains three miniatures, in which all kinds of outer steps have their share: one to fill
    caches, such as those of compilers, one of as many steps, and one of three times as many.
    """
    with tempfile.TemporaryDirectory() as folder:

        def seconds(name: str, steps: int) -> float:
            run = Path(folder, name)
            train(replace(training, steps=steps), run, float("inf"))
            return progress_of(run).seconds

        first, short, long = seconds("1", steps), seconds("2", steps), seconds("3", 3 * steps)
    # On a CPU little comes before the first step, and a difference would be mostly noise.
    on_cpu = training.config.device == "cpu"
    step = long / (3 * steps) if on_cpu else max((long - short) / (2 * steps), 1e-6)
    return {
        "seconds_of_a_step": step,
        "setup_seconds": 0.0 if on_cpu else max(short - steps * step, 0.0),
        "once_seconds": max(first - short, 0.0),
    }


def main(ask: dict[str, Any]) -> None:
    """Do what is asked."""
    training = Training(**ask["training"])
    if "rate" in ask:
        print(json.dumps(rate(training, ask["rate"])), flush=True)
    else:
        train(training, Path(ask["folder"]), ask["seconds"])


if __name__ == "__main__":
    # Two at once would be in the way of one another.
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    main(json.loads(sys.argv[1]))
