"""Adaptation curves: accuracy (or error) and loss by number of inner steps."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fewstep.config import Config, score_name
from fewstep.files import write_whole
from fewstep.functional import Norm
from fewstep.report.table import protocol
from fewstep.training.evaluation import Result

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw_curves(path: Path, config: Config, results: dict[str, Result], norm: Norm) -> None:
    """Draw one line a starting point, with its 95% interval as a band, as a PNG file.

    Accuracy on the left and the loss on the right; in a regression, where the error is the loss,
    one panel.

    Args:
        path: Where to write it.
        config: Of the tasks.
        results: By the name of the starting point.
        norm: Which statistics batch norm used on the query set.
    """
    percent = score_name(config) == "accuracy"
    figure = Figure(figsize=(11 if percent else 7, 4.8), layout="constrained")
    panels = figure.subplots(1, 2 if percent else 1, squeeze=False, gridspec_kw={"wspace": 0.08})[0]
    for number, result in enumerate(results.values()):
        colour = COLOURS[number % len(COLOURS)]
        if percent:
            _draw(panels[0], f"start {number}", colour, result.scores, result.ci95)
        _draw(panels[-1], f"start {number}", colour, result.losses, result.losses_ci95)
    if percent:
        panels[0].axhline(1 / config.n_way, color="grey", linestyle=":", label="chance")
        panels[0].set_ylim(0, 1.02)
        panels[0].yaxis.set_major_formatter(PercentFormatter(1))
        panels[0].set_ylabel("accuracy on the query set")
    panels[-1].set_ylim(bottom=0)
    panels[-1].set_ylabel(
        "cross-entropy on the query set, nats" if percent else "mean squared error on the query set"
    )
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
    line = protocol(config, next(iter(results.values())), "test", norm)
    figure.text(0.5, 0.925, line, fontsize=7, color="grey", horizontalalignment="center")
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))


def _draw(axes: Axes, label: str, colour: str, means: list[float], ci95: list[float]) -> None:
    steps = range(len(means))
    low = [mean - half for mean, half in zip(means, ci95, strict=True)]
    high = [mean + half for mean, half in zip(means, ci95, strict=True)]
    axes.plot(steps, means, "o-", color=colour, label=label)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_xlabel("inner steps on the support set")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
