"""The adaptation curve: accuracy or error by number of inner steps."""

from __future__ import annotations

from pathlib import Path

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

    Args:
        path: Where to write it.
        config: Of the tasks.
        results: By the name of the starting point.
        norm: Which statistics batch norm used on the query set.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    percent = score_name(config) == "accuracy"
    for number, (name, result) in enumerate(results.items()):
        colour, steps = COLOURS[number % len(COLOURS)], range(len(result.scores))
        low = [s - c for s, c in zip(result.scores, result.ci95, strict=True)]
        high = [s + c for s, c in zip(result.scores, result.ci95, strict=True)]
        axes.plot(steps, result.scores, "o-", color=colour, label=name)
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    if percent:
        axes.axhline(1 / config.n_way, color="grey", linestyle=":", label="chance")
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("inner steps on the support set")
    axes.set_ylabel(
        "accuracy on the query set" if percent else "mean squared error on the query set"
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    axes.set_title(f"{config.recipe}: adaptation to tasks never seen")
    line = protocol(config, next(iter(results.values())), "test", norm)
    figure.supxlabel(line, fontsize=7, color="grey")
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))
