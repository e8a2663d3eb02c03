"""The section of the training: losses and validations by outer steps, all runs in one chart."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from fewstep.config.algorithms import steps_in_words
from fewstep.config.schema import batch_norm
from fewstep.report.page.chart import Axes, Line
from fewstep.report.page.figure import evenly, figure, grid
from fewstep.report.page.html import Html, element
from fewstep.report.page.measured import Report
from fewstep.report.page.run_files import RunFiles

POINTS = 120
"""Of a line: of more outer steps, each point is the mean of some."""


def curves(report: Report) -> Html | None:
    """Charts of the training loss and of validation, of runs on the same data; None without any."""
    files = [run.files for run in report.runs]
    kinds: dict[tuple[str, str], list[RunFiles]] = {}
    # Losses and scores of other data are not on one scale.
    for run in files:
        kinds.setdefault((run.score, _data(run)), []).append(run)
    figures = []
    for (score, _), group in kinds.items():
        of = f" ({', '.join(run.name for run in group)})" if len(kinds) > 1 else ""
        figures += [_of_loss(group, of), _of_validation(score, group, of)]
    drawn = [one for one in figures if one is not None]
    without = [run.name for run in files if not run.metrics]
    note = f"Without figures of their training: {', '.join(without)}." if without else None
    if not drawn:
        return None
    return Html(grid(*drawn) + (element("p", note, class_="note") if note else ""))


def told(metrics: Sequence[dict[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """The outer steps of which there is a figure, and the figure; NaN where it is no number."""
    pairs = {line["step"]: line[name] for line in metrics if name in line}
    numbers = [
        float(value) if isinstance(value, int | float) else math.nan for value in pairs.values()
    ]
    return [float(step) for step in pairs], numbers


def in_bins(
    steps: Sequence[float], values: Sequence[float], most: int
) -> tuple[list[float], list[float]]:
    """The means of neighbours, so that there are so many points at most.

    >>> in_bins([1, 2, 3, 4], [1.0, 3.0, 5.0, 7.0], 2)
    ([2, 4], [2.0, 6.0])
    """
    size = -(-len(values) // most)
    if size <= 1:
        return list(steps), list(values)
    places, means = [], []
    for start in range(0, len(values), size):
        part = [v for v in values[start : start + size] if math.isfinite(v)]
        places.append(steps[min(start + size, len(steps)) - 1])
        means.append(statistics.fmean(part) if part else math.nan)
    return places, means


def _data(run: RunFiles) -> str:
    return f"{run.config.data_name} {run.config.target}" if run.config else run.name


def _of_loss(files: Sequence[RunFiles], of: str) -> Html | None:
    lines = []
    for number, run in enumerate(files):
        steps, values = in_bins(*told(run.metrics, "train/loss"), POINTS)
        if steps:
            lines.append(Line(run.name, steps, values, style=number))
    if not lines:
        return None
    batches = sorted(
        {str(run.settings["meta_batch"]) for run in files if "meta_batch" in run.settings}
    )
    tasks = f"{' or '.join(batches)} training tasks" if batches else "the training tasks"
    protocol = (
        f"mean query loss after adaptation on {tasks} of each outer step, no interval; a point is "
        f"the mean of the outer steps since the one before it; {_seeds(files)}"
    )
    return figure(
        f"Training loss{of}", protocol, lines, Axes("outer steps", "training loss"), "loss"
    )


def _of_validation(score: str, files: Sequence[RunFiles], of: str) -> Html | None:
    lines = []
    for number, run in enumerate(files):
        steps, values = told(run.metrics, "val/score")
        halves = dict(zip(*told(run.metrics, "val/ci95"), strict=True))
        if steps:
            kept = evenly(list(zip(steps, values, strict=True)), POINTS)
            half = [halves.get(step, math.nan) for step, _ in kept]
            lines.append(Line(run.name, [s for s, _ in kept], [v for _, v in kept], half, number))
    if not lines:
        return None
    tasks = sorted({str(run.settings.get("val_tasks")) for run in files} - {"None"})
    axes = Axes("outer steps", f"validation {score}", percent=score == "accuracy")
    adapted = {
        steps_in_words(run.config.algorithm, run.config.test_inner_steps)
        for run in files
        if run.config
    }
    after = f", {' or '.join(sorted(adapted))}" if adapted else ""
    protocol = (
        f"mean over {' or '.join(tasks) or 'the'} validation tasks{after}, with its 95% interval "
        f"over tasks; {_norms(files)}{_seeds(files)}"
    )
    return figure(f"Validation {score}{of}", protocol, lines, axes, score)


def _norms(files: Sequence[RunFiles]) -> str:
    configs = [run.config for run in files if run.config and "norm" in run.config.network.settings]
    norms = sorted({batch_norm(config, config.norm) for config in configs})
    return f"{' or '.join(norms)}; " if norms else ""


def _seeds(files: Sequence[RunFiles]) -> str:
    seeds = sorted({str(run.settings["seed"]) for run in files if "seed" in run.settings})
    return f"seed {' or '.join(seeds)}" if seeds else "seeds of your own"
