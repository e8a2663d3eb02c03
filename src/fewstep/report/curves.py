"""Adaptation curves: accuracy (or error) and loss by number of inner steps."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fewstep.config.schema import Config
from fewstep.evaluation.evaluate import Means, Results
from fewstep.files import write_whole
from fewstep.report.table import protocol

LABELS = {"mse": "mean squared error"}

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw_curves(path: Path, config: Config, results: dict[str, Results]) -> None:
    """Draw one line a starting point, with its 95% interval as a band, as a PNG file.

    One panel a metric and one of the loss, unless that is the only metric. Of batch norm's
    statistics, those that come first in the results.

    Args:
        path: Where to write it.
        config: Of the tasks.
        results: By the name of the starting point.
    """
    first = {name: next(iter(of_norms.items())) for name, of_norms in results.items()}
    norm, shown = next(iter(first.values()))
    rows = [{**result.metrics, "loss": result.loss} for _, result in first.values()]
    names = [name for name in rows[0] if name != "loss" or "mse" not in shown.metrics]
    width = 5.5 * len(names) if len(names) > 1 else 7
    figure = Figure(figsize=(width, 4.8), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, gridspec_kw={"wspace": 0.08})[0]
    for axes, metric in zip(panels, names, strict=True):
        for number, row in enumerate(rows):
            _draw(axes, f"start {number}", COLOURS[number % len(COLOURS)], row[metric])
        if not any(value < 0 for row in rows for value in row[metric].mean):
            axes.set_ylim(bottom=0)
        nats = metric == "loss" and config.data_set.kind == "classification"
        label = "cross-entropy, nats," if nats else LABELS.get(metric, metric)
        axes.set_ylabel(f"{label} on the query set", parse_math=False)
        if metric == "accuracy":
            axes.axhline(1 / config.n_way, color="grey", linestyle=":", label="chance")
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1))
    # Below the curves, where it hides none.
    handles, labels = panels[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    # By themselves, since Matplotlib leaves out names that begin with an underscore and computes
    # what stands between dollars.
    for text, name in zip(legend.get_texts(), results, strict=False):
        text.set_parse_math(False)
        text.set_text(name)
    figure.suptitle(
        f"{config.data}: adaptation to tasks never seen\n", fontsize=12, verticalalignment="top"
    )
    line = protocol(config, {norm: shown}, "test")
    figure.text(0.5, 0.925, line, fontsize=7, color="grey", horizontalalignment="center")
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))


def _draw(axes: Axes, label: str, colour: str, means: Means) -> None:
    steps = range(len(means.mean))
    low, high = (
        [mean + sign * half for mean, half in zip(*means, strict=True)] for sign in (-1, 1)
    )
    axes.plot(steps, means.mean, "o-", color=colour, label=label)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_xlabel("inner steps on the support set")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
