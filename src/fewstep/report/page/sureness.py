"""The section of reliability: how often predictions are right, by how sure they are."""

from fewstep.evaluation.calibration import FEWEST, Reliability
from fewstep.report.page.chart import Axes, Line
from fewstep.report.page.figure import figure, grid
from fewstep.report.page.html import Html, element
from fewstep.report.page.measured import Measured, Report
from fewstep.report.table import protocol

_CHOSEN = "The temperature, which divides the logits, was chosen on validation tasks. "


def sureness(report: Report) -> Html | None:
    """A figure a run that predicts classes; None where there is none."""
    found = [
        (run.files.name, run.measured)
        for run in report.runs
        if not isinstance(run.measured, str) and run.measured.result.calibration
    ]
    if not found:
        return None
    chosen = any(m.result.calibration.has_temperature for _, m in found if m.result.calibration)
    told = (
        "Points on the diagonal are right as often as they are sure; below it they are too sure. "
        f"{_CHOSEN if chosen else ''}Grey bars: the share of the predictions."
    )
    several = len(report.runs) > 1
    return Html(element("p", told) + grid(*[_of_run(name, one, several) for name, one in found]))


def _of_run(name: str, run: Measured, several: bool) -> Html:
    one = run.result.calibration
    assert one is not None
    assert one.bins is not None
    before, after = one.bins
    lines = [_line("as predicted", before, one.predictions, 1)]
    if one.has_temperature:
        name_after = f"at temperature {one.temperature:.2f}"
        lines.append(_line(name_after, after, one.predictions, 0))
    axes = Axes(
        "confidence, the largest probability",
        "accuracy",
        percent=True,
        percent_x=True,
        diagonal=True,
        bars=after.share,
    )
    line = (
        f"{one.predictions:,} predictions, in bins of which those of fewer than {FEWEST} have no "
        f"point; expected calibration error {one.told()}; "
        f"{protocol(run.config, run.results, 'test')}"
    )
    title = f"Reliability of {name}" if several else "Reliability"
    return figure(title, line, lines, axes, "accuracy")


def _line(name: str, found: Reliability, predictions: int, style: int) -> Line:
    points = found.points(predictions)
    return Line(name, [sure for sure, _ in points], [right for _, right in points], style=style)
