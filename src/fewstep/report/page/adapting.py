"""The section of adaptation: scores by inner steps, of all starting points."""

from fewstep.report.page.chart import Axes, Line
from fewstep.report.page.figure import figure, grid
from fewstep.report.page.html import Html, joined
from fewstep.report.page.measured import Report, SideBySide
from fewstep.report.table import IN_WORDS, protocol


def adapting(report: Report) -> Html | None:
    """Charts of each group of runs with the same tasks; None where nothing was measured."""
    if not report.groups:
        return None
    return joined(*[grid(*_figures(group, len(report.groups) > 1)) for group in report.groups])


def _figures(group: SideBySide, several: bool) -> list[Html]:
    """A figure a metric, and one of the loss, unless that is the only metric."""
    config, starts = group.config, group.starts
    first = {name: next(iter(of_norms.items())) for name, of_norms in starts.items()}
    norm, one = next(iter(first.values()))
    rows = {name: result.for_people for name, (_, result) in first.items()}
    line = protocol(config, {norm: one}, "test")
    where = f" ({', '.join(group.runs)})" if several else ""
    figures = []
    for metric in next(iter(rows.values())):
        percent = metric == "accuracy"
        label = IN_WORDS.get(metric, metric)
        if metric == "loss" and config.kind == "classification":
            label = "cross-entropy in nats"
        lines = [
            Line(name, range(len(row[metric].mean)), *row[metric], style=number)
            for number, (name, row) in enumerate(rows.items())
        ]
        chance = (1 / config.ways("test"), "chance") if percent else None
        axes = Axes("inner steps", label, percent=percent, reference=chance)
        figures.append(
            figure(f"{label.capitalize()} by inner steps{where}", line, lines, axes, metric)
        )
    return figures
