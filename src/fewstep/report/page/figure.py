"""A figure of the page: a chart, what it shows, its legend, and the same numbers as a table."""

import math
from collections.abc import Sequence
from typing import Any

from fewstep.evaluation.numbers import shown
from fewstep.report.page.chart import Axes, Line, line_chart, swatch
from fewstep.report.page.html import Html, element, joined, table
from fewstep.report.page.scale import number

MOST_ROWS = 25
"""Rows of the table below a chart: of a line of more points, as many evenly spaced ones."""


def figure(
    title: str,
    protocol: str,
    lines: Sequence[Line],
    axes: Axes,
    metric: str,
    more: Sequence[tuple[str, dict[float, str]]] = (),
    numbers: Html | None = None,
) -> Html:
    """The figure.

    Args:
        title: What it shows, in a few words; of its own on the page.
        protocol: How its numbers were measured.
        lines: What is drawn.
        axes: Of the chart.
        metric: Name of the values, by which they are written.
        more: Columns of the table that are not drawn: a name, and a text by place.
        numbers: A table in the place of the one of all lines by place.
    """
    names = ", ".join(line.name for line in lines)
    label = f"Chart: {title}. {axes.y} by {axes.x}, of {names}. Its numbers are in the table below."
    legend = element(
        "ul",
        *[element("li", swatch(line), element("span", line.name)) for line in lines],
        class_="legend",
    )
    return element(
        "figure",
        element("figcaption", element("b", title), element("small", protocol)),
        line_chart(lines, axes, label),
        legend,
        element(
            "details",
            element("summary", "The numbers"),
            numbers or _numbers(title, lines, axes, metric, more),
        ),
    )


def _numbers(
    title: str,
    lines: Sequence[Line],
    axes: Axes,
    metric: str,
    more: Sequence[tuple[str, dict[float, str]]],
) -> Html:
    names = dict(axes.places)
    every = sorted({x for line in lines for x in line.x})
    kept = evenly(every, MOST_ROWS)
    cells = [_by_place(line, metric) for line in lines]
    rows = [
        [
            names.get(x, number(x, axes.percent_x)),
            *(cell.get(x, "") for cell in cells),
            *(column.get(x, "") for _, column in more),
        ]
        for x in kept
    ]
    heading = [axes.x, *(line.name for line in lines), *(name for name, _ in more)]
    out = f", about one in {len(every) // len(kept)} of them" if len(kept) < len(every) else ""
    caption = f"{title}: {axes.y} by {axes.x}{out}"
    return table(caption, heading, rows, class_="numbers")


def _by_place(line: Line, metric: str) -> dict[float, str]:
    halves = line.half or [math.nan] * len(line.y)
    return {
        x: shown(metric, y, half) if math.isfinite(y) else "not finite"
        for x, y, half in zip(line.x, line.y, halves, strict=True)
    }


def evenly(values: Sequence[Any], most: int) -> list[Any]:
    """So many of the values, evenly spaced, the first and the last among them.

    >>> evenly([0, 1, 2, 3, 4], 3)
    [0, 2, 4]
    """
    if len(values) <= most:
        return list(values)
    return [values[round(n * (len(values) - 1) / (most - 1))] for n in range(most)]


def grid(*figures: Html) -> Html:
    """Figures side by side where there is room."""
    return element("div", joined(*figures), class_="grid")
