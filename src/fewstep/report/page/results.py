"""The section of results: the score of each run with its protocol, and what is odd about it."""

from fewstep.choices import Split
from fewstep.config.algorithms import ALGORITHMS, steps_in_words
from fewstep.config.schema import Config, batch_norm, has_batch_norm
from fewstep.evaluation.evaluate import Results
from fewstep.evaluation.numbers import shown
from fewstep.report.page.html import Html, element, joined, table
from fewstep.report.page.measured import Report, Reported
from fewstep.report.table import calibration_lines, protocol


def results(report: Report) -> Html:
    """A table of several runs, then each run by itself."""
    several = len(report.runs) > 1
    parts = [_side_by_side(report)] if several else []
    parts += [_of_run(run, several) for run in report.runs]
    return joined(*parts)


def figures_of(run: Reported) -> tuple[Results, Split, str]:
    """The figures of a run: of its final test, else what was measured for the report.

    Returns:
        Both empty where there are none; and how they came about.
    """
    if run.files.results and run.files.summary:
        split: Split = run.files.summary.get("split", "test")
        return run.files.results, split, "final test"
    if not isinstance(run.measured, str):
        return run.measured.results, "test", "measured for this report"
    return {}, "test", ""


def headline(run: Reported) -> str:
    """The score after the last inner step, with its interval."""
    found, _, _ = figures_of(run)
    if not found:
        return "not tested"
    result = next(iter(found.values()))
    name, means = next(iter(result.metrics.items()))
    value = means.shown(name, -1)
    return value if name == "accuracy" else f"{name} {value}"


def _norm(run: Reported) -> str:
    """The batch norm of the headline, where a score may depend on it."""
    found, _, _ = figures_of(run)
    config = run.files.config
    if config is None or not found or not has_batch_norm(config):
        return ""
    return f", {batch_norm(config, next(iter(found)))}"


def how_far(run: Reported) -> str:
    """The outer steps of a run, of how many, and what was kept."""
    files = run.files
    told = f"{files.steps:,}"
    if files.planned is not None and files.steps < files.planned:
        told += f" of {files.planned:,}"
    return told


def seconds(value: float) -> str:
    """A time for people.

    >>> seconds(7.25), seconds(83), seconds(5025)
    ('7.2 s', '1 min 23 s', '1 h 24 min')
    """
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    if value < 3600:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    return f"{value // 3600:.0f} h {value % 3600 / 60:.0f} min"


def _side_by_side(report: Report) -> Html:
    heading = ["run", "algorithm", "data", "score", "measured on", "outer steps", "training"]
    rows = []
    for run in report.runs:
        files, progress = run.files, run.files.progress
        found, _, how = figures_of(run)
        tasks = next(iter(found.values())).tasks if found else 0
        measured_on = f"{tasks} unseen tasks{_norm(run)}, {how}" if found else "–"
        rows.append(
            [
                files.name,
                files.algorithm,
                files.config.data_name if files.config else "your own",
                headline(run),
                measured_on,
                how_far(run),
                seconds(progress.seconds) if progress else "unknown",
            ]
        )
    return table(
        "All runs: score after the last inner step, ± 95% interval", heading, rows, class_="runs"
    )


def _of_run(run: Reported, several: bool) -> Html:
    files = run.files
    found, split, how = figures_of(run)
    parts = [element("h3", files.name)] if several else []
    config = files.config
    if found and config:
        steps = len(next(iter(found.values())).loss.mean) - 1
        after = _after(config, steps)
        parts.append(
            element(
                "p",
                element("span", headline(run), class_="figure-of-merit"),
                f"{config.score} of tasks never seen, {after}{_norm(run)} ({how})",
            )
        )
        parts.append(element("p", element("small", protocol(config, found, split))))
        parts.append(_all_steps(files.name, found))
    if not files.summary:
        done = f"{how_far(run)} outer steps" if files.steps else "no outer step"
        told = f"This run is not finished: {done} done, and no final test."
        told = told if config else "A run of fewstep.fit, which has no final test."
        parts.append(element("p", told, class_="note"))
    if isinstance(run.measured, str):
        told = f"Nothing was measured for this report: {run.measured}"
        parts.append(element("p", told, class_="note"))
    elif run.measured.note:
        parts.append(element("p", run.measured.note, class_="note"))
    parts += [element("p", note, class_="note") for note in files.notes]
    findings = ((files.summary or {}).get("diagnosis") or {}).get("findings")
    if isinstance(findings, list):
        lines = [str(line) for line in findings] or ["nothing is out of line"]
        parts.append(element("p", "Diagnosis:"))
        parts.append(element("ul", *[element("li", line) for line in lines]))
    return element("section", *parts)


def _after(config: Config, steps: int) -> str:
    if ALGORITHMS[config.algorithm].closed_form:
        return "after adaptation in closed form"
    return f"after {steps_in_words(config.algorithm, steps)}"


def _all_steps(name: str, found: Results) -> Html:
    """All figures of a test, by inner steps and statistics of batch norm."""
    rows = []
    for norm, result in found.items():
        for metric, means in result.for_people.items():
            which = f"{metric}, {norm}" if len(found) > 1 else metric
            rows.append([which, *(shown(metric, *both) for both in zip(*means, strict=True))])
    steps = len(rows[0]) - 1 if rows else 0
    heading = ["after inner steps", *(str(step) for step in range(steps))]
    whole = table(f"{name}: mean ± 95% interval over tasks", heading, rows, class_="numbers")
    lines = [element("p", line) for line in calibration_lines(found)]
    title = "After each inner step, and calibration" if lines else "After each inner step"
    return element("details", element("summary", title), whole, *lines)
