"""The accuracy of kept initialisations on test tasks, which are the same for all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fewstep
from benchmarks.clock import Clock
from benchmarks.time_to_accuracy.contestants import Training
from benchmarks.time_to_accuracy.points import MARKS, QUARTERS, chosen, read
from fewstep.choices import Norm
from fewstep.data.registry import task_sources
from fewstep.evaluation.evaluate import assign
from fewstep.files import write_out
from fewstep.learners.any_ways import for_ways
from fewstep.learners.build import learner_for
from fewstep.training import checkpoint
from fewstep.training.build import workers_for

Row = dict[str, Any]
"""A point: outer steps, seconds, and for each kind of batch norm accuracy and interval."""


def evaluated(training: Training, run: Path, tasks: int, clock: Clock) -> list[Row]:
    """The points of a run with their accuracy, in order; what is known already is kept in a file.

    Transductive at all `MARKS`, inductive at `QUARTERS`, after the recipe's inner steps in a test.
    Stops where no time is left.
    """
    kept = run.with_name(f"{run.name}-accuracy-{tasks}.json")
    rows: dict[str, Row] = json.loads(kept.read_text()) if kept.exists() else {}
    points = read(run)
    wanted: list[tuple[Norm, Any]] = [("transductive", p) for p in chosen(points, MARKS)]
    wanted += [("inductive", p) for p in chosen(points, QUARTERS)]
    missing = [(norm, p) for norm, p in wanted if norm not in rows.get(str(p.step), {})]
    if missing:
        # Where inner steps are learned one by one, the run's number of outer steps is theirs too.
        config = replace(training.config, workers=0)
        source = task_sources(config)
        learner = learner_for(config, source["train"].spec)
        workers = workers_for(config, learner, source["train"])
    for norm, point in missing:
        if not clock.left():
            break
        assign(dict(learner.named_parameters()), checkpoint.load(point.path)[0])
        fitting, _ = for_ways(learner, config.test_n_way)
        found = fewstep.evaluate(
            fitting, source["test"], config.test_inner_steps, norm, n=tasks, workers=workers
        ).score
        row = rows.setdefault(str(point.step), {"step": point.step, "seconds": point.seconds})
        row[norm] = {"accuracy": found.mean[-1], "ci95": found.ci95[-1]}
        write_out(kept, f"{json.dumps(rows, indent=1)}\n".encode())
    return sorted(rows.values(), key=lambda row: row["step"])


def first_at(rows: list[Row], accuracy: float) -> float | None:
    """Seconds of the first point that is as accurate on test tasks, transductive; None if none."""
    for row in rows:
        if row.get("transductive", {"accuracy": 0.0})["accuracy"] >= accuracy:
            return float(row["seconds"])
    return None
