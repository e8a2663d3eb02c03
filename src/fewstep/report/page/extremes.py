"""The section of single tasks: the best and the worst ones."""

import itertools
from collections.abc import Sequence

from fewstep.evaluation.numbers import shown
from fewstep.report.page.figure import grid
from fewstep.report.page.html import Html, element, joined, table
from fewstep.report.page.measured import Measured, Report
from fewstep.report.page.task_curves import TaskCurves, curves_figure
from fewstep.report.page.task_pictures import Shown, TaskPictures, tile
from fewstep.report.table import protocol

MOST_BYTES = 1_700_000
"""Of all pictures as files; they are longer by a third in the page."""
MANY = 5
"""Tasks by name of each kind, as those of a table."""


def extremes(report: Report) -> Html | None:
    """The best and worst tasks of each run that was measured; None where none was."""
    found = [(r.files.name, r.measured) for r in report.runs if not isinstance(r.measured, str)]
    several, bytes_each = len(report.runs) > 1, MOST_BYTES // max(1, len(found))
    parts = [_of_run(name, run, several, bytes_each) for name, run in found]
    drawn = [part for part in parts if part]
    return joined(*drawn) if drawn else None


def _of_run(name: str, run: Measured, several: bool, most: int) -> Html:
    heading = element("h3", name) if several else None
    line = element("p", element("small", protocol(run.config, run.results, "test")))
    if run.worst or run.best:
        level = "h4" if several else "h3"
        every = [("Worst", n, one) for n, one in enumerate(run.worst, 1)]
        every += [("Best", n, one) for n, one in enumerate(run.best, 1)]
        sizes = itertools.accumulate(one.size for _, _, one in every)
        kept = [task for task, size in zip(every, sizes, strict=True) if size <= most]
        tasks = [
            _curves(which, n, name if several else "", run, one)
            if isinstance(one, TaskCurves)
            else _task(level, which, n, name, one)
            for which, n, one in kept
        ]
        if isinstance(kept[0][2], TaskCurves):
            tasks = [grid(*tasks)]
        out = len(every) - len(kept)
        note = f"Left out, as the page would be too large: {out} more tasks." if out else None
        return joined(heading, line, *tasks, element("p", note, class_="note") if note else None)
    return joined(heading, line, _by_name(name, run))


def _task(level: str, which: str, place: int, name: str, one: TaskPictures) -> Html:
    right = f"{one.right} of {one.queries} right"
    title = f"{which} task {place}: {right}"
    label = f"{name}, {which.lower()} task {place}"
    more = f"{one.left_out} of its classes are not shown." if one.left_out else ""
    rows = [[row.name, _tiles(row.support), _tiles(row.query)] for row in one.rows]
    heading = ["class", "learned from", "predicted, mistakes first"]
    caption = f"{label}: test task {one.number}. {more}"
    return element("div", element(level, title), table(caption, heading, rows, class_="tasks"))


def _curves(which: str, place: int, name: str, run: Measured, one: TaskCurves) -> Html:
    scores = run.tasks.evaluation.scores[one.number]
    metric = next(iter(run.result.metrics))
    title = f"{which} task {place}{f' ({name})' if name else ''}"
    both = float(scores[0]), float(scores[-1])
    return curves_figure(title, one, metric, both, run.config.seed)


def _tiles(pictures: Sequence[Shown]) -> Html:
    return element("ul", *map(tile, pictures), class_="tiles")


def _by_name(name: str, run: Measured) -> Html:
    """A table of the best and the worst tasks, by their name or number."""
    best, worst = run.tasks.extremes(MANY, larger_is_better=run.larger_is_better)
    evaluation, names = run.tasks.evaluation, run.tasks.names
    metric = next(iter(run.result.metrics))
    scores = evaluation.scores
    rows = [
        [
            names[row] if names else f"test task {row}",
            which,
            shown(metric, float(scores[row, 0])),
            shown(metric, float(scores[row, -1])),
        ]
        for which, of in (("best", best), ("worst", worst[::-1]))
        for row in of
    ]
    heading = ["task", "among the", f"{metric} before adaptation", f"{metric} after it"]
    return table(f"{name}: single tasks, without an interval each", heading, rows)
