"""The section of confusion: which classes are taken for which."""

from collections.abc import Sequence

from fewstep.evaluation.by_task import Confusion, confusion
from fewstep.report.page.html import Html, element, joined, table
from fewstep.report.page.measured import Measured, Report
from fewstep.report.table import protocol

MOST = 20
"""Classes of a table of all; of more the pairs that are confused the most are told."""
PAIRS = 15
SHADE = 45
"""The strongest colour of a cell in percent: text on it can be read."""


def confused(report: Report) -> Html | None:
    """A table a run whose classes have names; None where there is none."""
    found = [
        (run.files.name, run.measured)
        for run in report.runs
        if not isinstance(run.measured, str) and run.measured.tasks.answers and run.measured.classes
    ]
    if not found:
        return None
    several = len(report.runs) > 1
    parts = []
    for name, measured in found:
        if several:
            parts.append(element("h3", name))
        parts.append(_of_run(name, measured))
    return joined(*parts)


def _of_run(name: str, run: Measured) -> Html:
    one = confusion(run.tasks.answers)
    names = [run.classes[number] for number in one.classes]
    line = protocol(run.config, run.results, "test")
    told = _matrix(name, one, names) if len(names) <= MOST else _pairs(name, one, names)
    return Html(element("p", element("small", line)) + told)


def _matrix(name: str, one: Confusion, names: Sequence[str]) -> Html:
    """All classes by all classes."""
    rates = one.rates.tolist()
    turned = [element("th", element("span", n, class_="turned"), scope="col") for n in names]
    rows = [
        [names[row], *(_cell(rates[row][column], row == column) for column in range(len(names)))]
        for row in range(len(names))
    ]
    caption = (
        "Shares of the query examples of a class (row) that were taken for another (column), in "
        "the tasks that have both"
    )
    head = ["is \\ taken for", *turned]
    return table(caption, head, rows, label=f"Confusion of {name}", class_="matrix")


def _cell(rate: float, own: bool) -> Html:
    if rate != rate:
        return element("td", "–", class_="own" if own else None)
    shade = f"--p:{SHADE * rate:.0f}%"
    return element("td", f"{rate:.0%}", style=shade, class_="own" if own else None)


def _pairs(name: str, one: Confusion, names: Sequence[str]) -> Html:
    """The pairs of classes that are confused the most."""
    pairs = one.worst(PAIRS)
    if not pairs:
        return element("p", f"No example of {len(names)} classes was taken for another class.")
    rates = one.rates
    rows = [
        [
            names[row],
            names[column],
            f"{float(rates[row, column]):.0%}",
            f"{one.counts[row, column]:.0f} of {one.asked[row, column]:.0f}",
        ]
        for row, column in pairs
    ]
    caption = f"{name}: the pairs of {len(names)} classes that were confused the most often"
    return table(caption, ["is", "taken for", "share", "examples"], rows, class_="pairs")
