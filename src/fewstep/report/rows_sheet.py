"""The picture of an adaptation to rows: what it predicts, beside the truth where that is known."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fewstep.evaluation.numbers import shown
from fewstep.predictors.half_widths import held_in_words
from fewstep.predictors.table_verdict import THIS
from fewstep.report.pictures import COLOURS
from fewstep.report.row_predictions import LabelRows, NumberRows
from fewstep.report.rows_adaptation import RowsAdaptation, learned

_BAND = "rows here have the truth in their 95% interval"
MOST = 500
"""Rows in a picture, at most: the first ones."""
BLUE, ORANGE, GREEN = COLOURS[:3]


def rows_sheet(done: RowsAdaptation) -> bytes:
    """A PNG file: predictions over the truth, or by row where no target is known."""
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes, found = figure.subplots(), done.predictions
    if isinstance(found, NumberRows) and found.truth:
        _against_truth(axes, done, found)
    elif isinstance(found, NumberRows):
        _by_row(axes, done, found)
    elif isinstance(found, LabelRows):
        _labels(axes, done, found)
    else:
        _support(axes, done)
    figure.suptitle(learned(done), fontsize=10, wrap=True, parse_math=False)
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, dpi=130, format="png")
    return out.getvalue()


def _against_truth(axes: Axes, done: RowsAdaptation, found: NumberRows) -> None:
    rows = list(found.truth)[:MOST]
    truth, values = np.array([found.truth[row] for row in rows]), found.values[rows]
    ends = np.array([min(truth.min(), values.min()), max(truth.max(), values.max())])
    if found.half_width is not None:
        low, high = ends - found.half_width, ends + found.half_width
        axes.fill_between(ends, low, high, color=BLUE, alpha=0.12, label=_BAND)
    axes.plot(ends, ends, color="grey", linewidth=1, label="prediction = truth")
    axes.plot(truth, values, "o", color=BLUE, markersize=5, alpha=0.8, label="query rows")
    mean = float(done.taught.mean())
    axes.axhline(mean, color=ORANGE, linestyle=":", label="mean of the support rows")
    axes.set_xlabel(f"{found.target}, truth", parse_math=False)
    axes.set_ylabel(f"{found.target}, predicted", parse_math=False)
    if done.verdict is not None and not done.verdict.left_out:
        value = shown("rmse", done.verdict.values[THIS])
        axes.set_title(f"rmse {value} of {done.verdict.rows} query rows", fontsize=9)
    axes.legend(fontsize=8, frameon=False)


def _by_row(axes: Axes, done: RowsAdaptation, found: NumberRows) -> None:
    values = found.values[:MOST]
    names = range(len(found)) if found.names is None else found.names
    axes.errorbar(
        names[:MOST],
        values,
        yerr=found.half_width,
        fmt="o",
        color=BLUE,
        ecolor="lightgrey",
        markersize=5,
        label="query rows"
        if found.half_width is None
        else f"query rows, with 95% interval{held_in_words(done.held)}",
    )
    mean = float(done.taught.mean())
    axes.axhline(mean, color=ORANGE, linestyle=":", label="mean of the support rows")
    axes.set_xlabel("row")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"{found.target}, predicted", parse_math=False)
    axes.legend(fontsize=8, frameon=False)


def _labels(axes: Axes, done: RowsAdaptation, found: LabelRows) -> None:
    """The probability of each row's label, in a column a label."""
    rows = range(min(len(found), MOST))
    names = sorted({str(found.best[row][0][0]) for row in rows})
    sides = np.random.default_rng(0).uniform(-0.25, 0.25, len(rows))
    kinds = {"not known": (BLUE, "o"), "right": (BLUE, "o"), "wrong": (ORANGE, "x")}
    told: dict[str, tuple[list[float], list[float]]] = {kind: ([], []) for kind in kinds}
    for row in rows:
        label, probability = found.best[row][0]
        known = row in found.truth
        kind = "not known" if not known else "right" if label == found.truth[row] else "wrong"
        told[kind][0].append(names.index(str(label)) + sides[row])
        told[kind][1].append(probability)
    for kind, (x, y) in told.items():
        if x:
            colour, mark = kinds[kind]
            name = f"query rows, {kind}" if found.truth else "query rows"
            axes.plot(x, y, mark, color=colour, markersize=5, alpha=0.8, label=name)
    axes.set_xticks(range(len(names)), [name.replace("$", r"\$") for name in names])
    lowest = min(found.best[row][0][1] for row in rows)
    axes.set_ylim(max(0, lowest - 0.05), 1.02)
    label = f"{found.target}, predicted; points of a label stand side by side, for sight alone"
    axes.set_xlabel(label, parse_math=False)
    if done.verdict is not None and not done.verdict.left_out:
        value = shown("accuracy", done.verdict.values[THIS])
        axes.set_title(f"accuracy {value} of {done.verdict.rows} query rows", fontsize=9)
    axes.set_ylabel("probability")
    axes.legend(fontsize=8, frameon=False)


def _support(axes: Axes, done: RowsAdaptation) -> None:
    """The targets that were learned from."""
    target = done.preparation.target
    if done.preparation.kind == "regression":
        values = done.taught[:MOST]
        axes.plot(range(1, len(values) + 1), values, "o", color=GREEN, markersize=5)
        axes.set_xlabel("support row")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(target, parse_math=False)
    else:
        names, counts = np.unique(done.taught.astype(str), return_counts=True)
        axes.bar([name.replace("$", r"\$") for name in names], counts, color=GREEN)
        axes.set_xlabel(target, parse_math=False)
        axes.set_ylabel("support rows")
