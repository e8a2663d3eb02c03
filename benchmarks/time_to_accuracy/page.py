"""The curves as a picture, and what they were measured by as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.report import head
from benchmarks.time_to_accuracy.accuracy import first_at
from benchmarks.time_to_accuracy.contestants import of_several_steps
from fewstep.config.algorithms import steps_in_words
from fewstep.report.pictures import COLOURS

PAPER = 0.987
"""Finn, Abbeel and Levine 2017, Omniglot 5-way 1-shot."""
LOWEST, HIGHEST = 0.90, 0.995
TICKS = (0.9, 0.95, 0.97, 0.98, 0.987, 0.99, 0.995)
BEGIN, END = "<!-- time-to-accuracy -->", "<!-- end -->"
COMPILED = 5.0
"""Seconds beyond which something was compiled."""
MARKERS: dict[str, Any] = {
    "transductive": {"marker": "o", "markersize": 3.5},
    "inductive": {"marker": "s", "markersize": 3.5, "markerfacecolor": "white"},
}
STYLES = ("-", "--", ":")
"""Of the budgets, the longest first."""


def draw(path: Path, told: dict[str, Any]) -> None:
    """Accuracy against minutes, both by logarithms: of the error, and of the time."""
    figure = Figure(figsize=(5.2, 4.6), layout="constrained", facecolor="white")
    axes = figure.subplots()
    runs = [run for run in told["runs"] if run["points"]]
    names = list(dict.fromkeys(run["name"] for run in runs))
    budgets = sorted({run["minutes"] for run in runs}, reverse=True)
    for run in runs:
        colour, style = COLOURS[names.index(run["name"])], STYLES[budgets.index(run["minutes"]) % 3]
        label = run["name"] + (f", {run['minutes']:g} min" if len(budgets) > 1 else "")
        norms = list(MARKERS) if any(_differs(row) for row in run["points"]) else ["transductive"]
        for norm in norms:
            rows = [row for row in run["points"] if norm in row]
            minutes = [row["seconds"] / 60 for row in rows]
            # What is better than the axis shows is drawn at its edge.
            shown = [min(row[norm]["accuracy"], HIGHEST) for row in rows]
            told = f"{label}, {norm}" if len(norms) > 1 else label
            axes.plot(minutes, shown, style, color=colour, label=told, **MARKERS[norm])
    axes.axhline(PAPER, color="0.35", linewidth=1)
    axes.annotate(
        "the paper: 98.7 %", (0, PAPER), (4, 3), ("axes fraction", "data"), "offset points",
        ha="left", va="bottom", color="0.25", fontsize=10,
    )  # fmt: skip
    axes.set_yscale("function", functions=(_of_accuracy, _of_height))
    axes.set_ylim(LOWEST, HIGHEST)
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    # Most of the way is made in the first minutes.
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.3)
    axes.set_xlabel("minutes of training", fontsize=11)
    axes.set_ylabel("accuracy on characters never seen", fontsize=11)
    if runs:
        axes.legend(loc="lower right", fontsize=10, framealpha=0.9)
    figure.savefig(path, dpi=200, format="png")


def _differs(row: dict[str, Any]) -> bool:
    """Whether the norms differ; a network without batch norm has the same by both."""
    both = "transductive" in row and "inductive" in row
    return both and row["transductive"] != row["inductive"]


def _of_accuracy(value: Any) -> Any:
    return -np.log(np.maximum(1 - np.asarray(value), 1e-4))


def _of_height(value: Any) -> Any:
    return 1 - np.exp(-np.asarray(value))


def table(told: dict[str, Any]) -> str:
    """Markdown: a row a training."""
    lines = [
        "| | minutes | outer steps | ms an outer step | first at 98.7 % | end, transductive "
        "| inductive |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_row, told["runs"])])


def _row(run: dict[str, Any]) -> str:
    if not run["points"]:
        return f"| {run['name']} | {run['minutes']:g} planned | | | not run | | |"
    last, reached = run["points"][-1], first_at(run["points"], PAPER)
    minutes = f"{last['seconds'] / 60:.1f}"
    if last["step"] < run["steps"]:
        minutes += f" of {run['minutes']:g} planned"
    cells = [
        run["name"],
        minutes,
        f"{last['step']:,}",
        f"{1000 * last['seconds'] / last['step']:.3g}",
        "not reached" if reached is None else f"{reached / 60:.1f} min",
        _accuracy(last, "transductive"),
        _accuracy(last, "inductive"),
    ]
    return f"| {' | '.join(cells)} |"


def _accuracy(row: dict[str, Any], norm: str) -> str:
    if norm not in row:
        return "not evaluated"
    return f"{100 * row[norm]['accuracy']:.2f} ± {100 * row[norm]['ci95']:.2f} %"


def protocol(told: dict[str, Any]) -> str:
    """The measurement and its method, in a few lines."""
    peers = [run for run in told["runs"] if run["by_peer"]]
    lines = [
        f"{told['recipe']}, budget {told['budget']}, with the outer steps of {_planned(told)} "
        f"minutes: {told['tasks']} test tasks of characters never seen, the same for all, after "
        f"{steps_in_words(None, told['inner_steps'])} (MAML++: its own number), single model, "
        f"seed {told['seed']}; 95% intervals are over tasks.",
        "The time is that of training alone: points are kept while it goes on, which counts, and "
        "evaluated afterwards. Nothing is validated, and no point is chosen by its accuracy. "
        "A schedule has to know the number of outer steps: each training is told the number that "
        "fits into its minutes, by a rate measured before, and so ends on its least step size; "
        "where an outer step took less time than in that trial, it ends before them.",
    ]
    if peers:
        off = told["deviation"]
        lines.append(
            "higher has the same network, initial weights, tasks, meta-batch, outer optimiser, "
            "schedule and moving average as MAML, and the loop of its documentation, one task "
            "after another; memory is kept for it as for fewstep. Its gradient differs from "
            f"fewstep's by {off:.0e} (relative, in float64): with as many outer steps both are the "
            "same training, and what differs is the time of one."
        )
    once = {name: of["once_seconds"] for name, of in told["rates"].items()}
    if any(seconds > COMPILED for seconds in once.values()):
        each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in once.items())
        lines.append(f"What is compiled once a machine came before and is not counted: {each}.")
    if told["departures"]:
        lines.append(f"For higher: {'; '.join(told['departures'])}.")
    if any(run["name"] == "MAML++" for run in told["runs"]):
        lines.append(f"MAML++ is the recipe's with `{of_several_steps()}`.")
    lines.append(f"{told['machine']}; {head(told)}. By `{told['command']}`.")
    return "\n\n".join(lines)


def _planned(told: dict[str, Any]) -> str:
    return " and ".join(f"{m:g}" for m in dict.fromkeys(run["minutes"] for run in told["runs"]))


def page(told: dict[str, Any]) -> str:
    """The results as Markdown."""
    return f"# Time to accuracy\n\n{table(told)}\n\n{protocol(told)}\n"


def filled(text: str, told: dict[str, Any], picture: str) -> str:
    """A page of the docs with table and picture in their place."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END, 1)
    image = f"![Accuracy against minutes of training, a line a contestant]({picture})"
    return f"{before}{BEGIN}\n{image}\n\n{table(told)}\n\n{protocol(told)}\n{END}{after}"
