"""Curves and table of the variants: means and bands over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from benchmarks.overfitting.runs import VAL_STEPS, VARIANTS, Budget
from fewstep.report.pictures import COLOURS

BEHIND = "validation, all causes together"
TOP = 3.5
"""The highest loss that is drawn; chance is 2.3."""
WINDOW = 5
"""Validations that the running mean takes together."""

Told = dict[str, list[dict[str, Any]]]
Curve = npt.NDArray[np.float64]


def smooth(curve: Curve) -> Curve:
    """The running mean over `WINDOW` validations, along the last axis; shorter by that less one."""
    window = min(WINDOW, curve.shape[-1])
    return np.lib.stride_tricks.sliding_window_view(curve, window, axis=-1).mean(-1)


def rise(curve: Curve) -> float:
    """How far the end of the smoothed curve is above its minimum, as a share of the minimum."""
    smoothed = smooth(curve)
    return float(smoothed[-1] / smoothed.min() - 1)


def losses(runs: list[dict[str, Any]], inner_steps: int | None) -> Curve:
    """``[seeds, validations]``: the validation loss after inner steps, or the training loss."""
    if inner_steps is None:
        return np.array([[row["training_loss"] for row in run["curve"]] for run in runs])
    return np.array([[row["validation_loss"][inner_steps] for row in run["curve"]] for run in runs])


def table(told: Told) -> str:
    """Markdown: a row a variant, and the failure after as many inner steps as in training."""
    lines = [
        "| changed in the failure | seeds | training loss, end | validation loss: minimum | end "
        "| rise | validation accuracy, end | minutes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in told.items():
        lines.append(_row(VARIANTS[name].text, runs, VAL_STEPS))
        if name == "failure":
            lines.append(_row("1 inner step in validation, as in training", runs, 1))
    return "\n".join(lines)


def _row(text: str, runs: list[dict[str, Any]], steps: int) -> str:
    validation, training = losses(runs, steps), losses(runs, None)
    smoothed = smooth(validation)
    accuracy = np.array([[r["validation_accuracy"][steps] for r in run["curve"]] for run in runs])
    rises = [rise(curve) for curve in validation]
    each = f" ({min(rises):.0%} to {max(rises):.0%})" if len(runs) > 1 else ""
    cells = [
        text,
        f"{len(runs)}",
        f"{smooth(training)[:, -1].mean():.2f}",
        f"{smoothed.min(1).mean():.2f}",
        f"{smoothed[:, -1].mean():.2f}",
        f"{np.mean(rises):.0%}{each}",
        f"{smooth(accuracy)[:, -1].mean():.0%}",
        f"{np.mean([run['seconds'] for run in runs]) / 60:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def draw(path: Path, told: Told, budget: Budget) -> None:
    """Training and validation loss of each variant; behind it, dotted, the failure's."""
    columns = 3
    rows = -(-len(told) // columns)
    figure = Figure(figsize=(11, 2.9 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    failure = told.get("failure")
    for axes, (name, runs) in zip(panels, told.items(), strict=False):
        steps = np.array([row["step"] for row in runs[0]["curve"]])
        if failure and name != "failure":
            behind = smooth(losses(failure, VAL_STEPS).mean(0))
            axes.plot(steps[-len(behind) :], behind, color="grey", linestyle=":", label=BEHIND)
        for label, inner_steps, colour in (
            ("training, after 1 inner step", None, COLOURS[0]),
            (f"validation, after {VAL_STEPS} inner steps", VAL_STEPS, COLOURS[1]),
        ):
            smoothed = smooth(losses(runs, inner_steps))
            x, mean = steps[-smoothed.shape[1] :], smoothed.mean(0)
            axes.plot(x, mean, color=colour, label=label)
            axes.fill_between(x, smoothed.min(0), smoothed.max(0), color=colour, alpha=0.2)
        axes.set_title(VARIANTS[name].text, fontsize=10)
        axes.grid(alpha=0.3)
        axes.set_ylim(0, TOP)
        axes.set_xlabel(f"outer steps ({budget.tasks} task{'s' * (budget.tasks > 1)} each)")
        axes.xaxis.set_tick_params(labelbottom=True)
    for axes in panels[len(told) :]:
        axes.axis("off")
    handles, labels = panels[len(told) - 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.supylabel("cross-entropy on the query set, nats")
    figure.savefig(path, dpi=150, format="png")
