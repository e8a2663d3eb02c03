"""The section of tables: errors by the rows of a new task beside the rivals, and intervals."""

import math
from typing import Any

from fewstep.config.algorithms import steps_in_words
from fewstep.evaluation.numbers import averaged, rows_up_to, shown
from fewstep.report.page.chart import Axes, Line
from fewstep.report.page.figure import figure, grid
from fewstep.report.page.html import Html, element
from fewstep.report.page.measured import Report
from fewstep.report.page.run_files import RunFiles


def new_rows(report: Report) -> Html | None:
    """The figures of each run of a table; None where no run is of one."""
    files = [run.files for run in report.runs if run.files.config and run.files.config.table]
    if not files:
        return None
    several = len(report.runs) > 1
    figures, notes = [], []
    for run in files:
        for make in (_comparison, _intervals):
            try:
                figures.append(make(run, f" ({run.name})" if several else ""))
            except _NoneKeptError as none:
                notes.append(element("p", str(none), class_="note"))
            except (LookupError, TypeError, ValueError, AttributeError):
                told = "is damaged or of another version; left out"
                file = "comparison.json" if make is _comparison else "interval.json"
                notes.append(element("p", f"{run.path / file} {told}", class_="note"))
    return Html(grid(*figures) + "".join(notes))


class _NoneKeptError(Exception):
    """There is no such file, and how it comes about."""


def _comparison(run: RunFiles, of: str) -> Html:
    told = run.comparison
    if told is None:
        raise _NoneKeptError(
            f"{run.name} was not compared with ordinary models yet: fewstep compare {run.path}"
        )
    assert run.config is not None
    score, by_rows = told["score"], told["rows"]
    rows = [int(n) for n in by_rows]
    names = list(next(iter(by_rows.values()))["models"])
    lines = []
    for number, name in enumerate(names):
        means = [by_rows[str(n)]["models"][name] for n in rows]
        values, halves = ([_float(m[key]) for m in means] for key in ("mean", "ci95"))
        title = f"{name} ({run.algorithm}, this run)" if name == told["run"] else name
        lines.append(Line(title, list(range(len(rows))), values, halves, number))
    best = {float(at): by_rows[str(n)]["best"] for at, n in enumerate(rows)}
    level = {
        float(at): ", ".join(by_rows[str(n)]["not_told_apart"]) or "none"
        for at, n in enumerate(rows)
    }
    tasks = sorted({by_rows[str(n)]["tasks"] for n in rows})
    many = f"{tasks[0]}" if len(tasks) == 1 else f"{tasks[0]} to {tasks[-1]}"
    protocol = (
        f"{many} test tasks of {told['data']}, {told['draws']} draws of rows, the same for all, "
        f"{rows_up_to(told['q_query'])}; {averaged(score)}; one model, seed {told['seed']}; "
        "by fewstep compare"
    )
    percent = score == "accuracy"
    places = [(float(at), str(n)) for at, n in enumerate(rows)]
    axes = Axes("rows of the new task", f"{score} of {told['target']}", percent, places=places)
    return figure(
        f"{score} by rows of a new task{of}",
        protocol,
        lines,
        axes,
        score,
        [("best", best), ("not told apart from it", level)],
    )


def _intervals(run: RunFiles, of: str) -> Html:
    told = run.interval
    assert run.config is not None
    if told is None:
        regression = run.config.kind == "regression"
        raise _NoneKeptError(
            f"{run.name} has no intervals of its predictions"
            + ("; its final test makes them." if regression else ", as it predicts classes.")
        )
    widths, coverage, halves = (told[key] for key in ("half_widths", "coverage", "coverage_ci95"))
    rows = [n for n in widths if n in coverage]
    at = [float(place) for place in range(len(rows))]
    line = Line(
        "query rows inside of their interval",
        at,
        [_float(coverage[n]) for n in rows],
        [_float(halves.get(n)) for n in rows],
    )
    level = float(told["level"])
    axes = Axes(
        "rows of the new task",
        "coverage",
        percent=True,
        zero=False,
        places=[(place, n) for place, n in zip(at, rows, strict=True)],
        reference=(level, f"{level:.0%}"),
    )
    width = {p: f"± {shown('rmse', float(widths[n]))}" for p, n in zip(at, rows, strict=True)}
    steps = steps_in_words(run.algorithm, int(told["steps"]))
    protocol = (
        f"measured share in {told['tasks']} test tasks, mean ± 95% interval over tasks; the width "
        f"is that of {level:.0%} of {run.config.target} in validation tasks; {steps}; one "
        f"model, seed {run.config.seed}"
    )
    more = [(f"interval of {run.config.target}", width)]
    return figure(
        f"Coverage of the {level:.0%} intervals{of}", protocol, [line], axes, "accuracy", more
    )


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
