"""Pictures of results: adaptation curves, and one task with its predictions."""

import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from fewstep.choices import Norm
from fewstep.config.algorithms import steps_in_words
from fewstep.config.schema import Config
from fewstep.evaluation.evaluate import Means, Results, device_of
from fewstep.evaluation.numbers import shown
from fewstep.files import write_whole
from fewstep.learners.base import Learner
from fewstep.report.table import IN_WORDS, protocol
from fewstep.tasks import TaskBatch

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
CHANCE = "chance"
RIGHT, WRONG = (COLOURS[0], "✓"), (COLOURS[1], "✗")


def draw_curves(path: Path, config: Config, results: dict[str, Results]) -> None:
    """Draw one line a starting point, with its 95% interval as a band, as a PNG file.

    One panel a metric and one of the loss, unless that is the only metric. Of batch norm's
    statistics, those that come first in the results, which have the name of a starting point each.
    """
    first = {name: next(iter(of_norms.items())) for name, of_norms in results.items()}
    norm, one = next(iter(first.values()))
    rows = [result.for_people for _, result in first.values()]
    names = [name for name in rows[0] if name != "loss" or "mse" not in one.metrics]
    width = 5.5 * len(names) if len(names) > 1 else 7
    figure = Figure(figsize=(width, 4.8), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, gridspec_kw={"wspace": 0.08})[0]
    for axes, metric in zip(panels, names, strict=True):
        for number, row in enumerate(rows):
            # Of a single step a line between two points tells nothing.
            draw = _draw_bars if len(rows) == 1 and len(row[metric].mean) == 2 else _draw_line
            draw(axes, f"start {number}", COLOURS[number % len(COLOURS)], row[metric])
        if not any(value < 0 for row in rows for value in row[metric].mean):
            axes.set_ylim(bottom=0)
        label = IN_WORDS.get(metric, metric)
        if metric == "loss" and config.kind == "classification":
            label = "cross-entropy, nats,"
        axes.set_ylabel(f"{label} on the query set", parse_math=False)
        if metric == "accuracy":
            axes.axhline(1 / config.ways("test"), color="grey", linestyle=":", label=CHANCE)
            axes.set_ylim(0, 1.02)
            axes.yaxis.set_major_formatter(PercentFormatter(1))
    legend_below(figure, panels[0], list(results), columns=3)
    figure.suptitle(
        f"{config.data_name}: adaptation to tasks never seen\n\n",
        fontsize=12,
        verticalalignment="top",
        parse_math=False,
    )
    line = in_width(protocol(config, {norm: one}, "test"), width)
    figure.text(0.5, 0.945, line, fontsize=7, color="grey", ha="center", va="top", parse_math=False)
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))


def in_width(text: str, inches: float) -> str:
    """Small print in as many lines as a figure of this width needs: none is cut."""
    return textwrap.fill(text, int(19 * inches))


def _draw_line(axes: Axes, label: str, colour: str, means: Means) -> None:
    steps = range(len(means.mean))
    low, high = (
        [mean + sign * half for mean, half in zip(*means, strict=True)] for sign in (-1, 1)
    )
    axes.plot(steps, means.mean, "o-", color=colour, label=label)
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_xlabel("inner steps on the support set")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _draw_bars(axes: Axes, label: str, colour: str, means: Means) -> None:
    names = ["before the support set", "after it"]
    axes.bar(names, means.mean, 0.5, color=colour, alpha=0.6, label=label)
    axes.errorbar(names, means.mean, means.ci95, fmt="none", ecolor="black", capsize=4)
    axes.grid(axis="y", alpha=0.3)


def legend_below(figure: Figure, axes: Axes, names: Sequence[str], columns: int) -> None:
    """Name what is drawn, the first by these names; below, where it hides nothing."""
    # Matplotlib has lines before bars, whatever was drawn first.
    drawn = zip(*axes.get_legend_handles_labels(), strict=True)
    handles, labels = zip(*sorted(drawn, key=lambda one: one[1] == CHANCE), strict=True)
    legend = figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False
    )
    # By themselves, since Matplotlib leaves out names that begin with an underscore and computes
    # what stands between dollars.
    for text, name in zip(legend.get_texts(), names, strict=False):
        text.set_parse_math(False)
        text.set_text(name)


def draw_task(
    path: Path,
    learner: Learner,
    task: TaskBatch,
    steps: int,
    norm: Norm,
    told: str,
    ink: bool = True,
) -> None:
    """Draw a row a class: support pictures, then query pictures with what was predicted.

    ``told`` says in words what ``norm`` batch norm uses; ``ink`` that grey 1 is dark.
    """
    draw = partial(_draw_picture, cmap="gray_r" if ink else "gray")
    support_x, support_y, query_x, _ = task.to(device_of(learner)).task(0)
    adapted = learner.adapt(support_x, support_y, steps, norm)
    with torch.no_grad():
        predicted = adapted(query_x).argmax(1).cpu()
    pictures, asked = cast(tuple[Tensor, Tensor], (task.support_x, task.query_x))
    ways = int(task.support_y.max()) + 1
    shots, queries = len(task.support_y[0]) // ways, len(task.query_y[0]) // ways
    widths = [1] * shots + [0.4] + [1] * queries
    width = 0.9 * (shots + queries) + 1.2
    figure = Figure(figsize=(width, ways + 0.9), layout="constrained")
    grid = figure.subplots(ways, len(widths), squeeze=False, width_ratios=widths)
    for way in range(ways):
        for k in range(shots):
            draw(grid[way, k], pictures[0, way * shots + k], "black", f"class {way}")
        grid[way, shots].axis("off")
        for q in range(queries):
            index = way * queries + q
            guess = int(predicted[index])
            colour, mark = RIGHT if guess == way else WRONG
            draw(grid[way, shots + 1 + q], asked[0, index], colour, f"{mark} {guess}")
    right = (predicted == task.query_y[0]).float().mean().item()
    title = (
        f"support set (left) and query set (right) after {steps_in_words(None, steps)}: "
        f"{shown('accuracy', right)} right ({told})"
    )
    figure.suptitle(textwrap.fill(title, int(14 * width)), fontsize=9)
    write_whole(path, lambda part: figure.savefig(part, dpi=150, format="png"))


def _draw_picture(axes: Axes, picture: Tensor, colour: str, label: str, cmap: str) -> None:
    axes.imshow(picture.movedim(0, -1).squeeze(-1).numpy(), cmap=cmap, vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(label, color=colour, fontsize=8, labelpad=2)
    for edge in axes.spines.values():
        edge.set_color(colour)
        edge.set_linewidth(1.5)
