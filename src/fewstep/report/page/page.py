"""The page as a whole: one file that needs no other, and no network."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files

from fewstep import __version__
from fewstep.report.page.adapting import adapting
from fewstep.report.page.confused import confused
from fewstep.report.page.curves import curves
from fewstep.report.page.extremes import extremes
from fewstep.report.page.html import Html, element, joined
from fewstep.report.page.measured import Report
from fewstep.report.page.new_rows import new_rows
from fewstep.report.page.repeat import repeat
from fewstep.report.page.results import results
from fewstep.report.page.sureness import sureness

_SECTIONS: tuple[tuple[str, str, Callable[[Report], Html | None]], ...] = (
    ("results", "Results", results),
    ("adaptation", "Adaptation", adapting),
    ("rows", "Rows of a new task", new_rows),
    ("training", "Training", curves),
    ("reliability", "How sure it is", sureness),
    ("confusion", "Confused classes", confused),
    ("tasks", "Worst and best tasks", extremes),
    ("repeat", "What was trained, and how to repeat it", repeat),
)


def page(report: Report) -> str:
    """The page as HTML."""
    names = [run.files.name for run in report.runs]
    title = f"fewstep report: {', '.join(names)}"
    told = [(key, name, content) for key, name, make in _SECTIONS if (content := make(report))]
    links = [element("li", element("a", name, href=f"#{key}")) for key, name, _ in told]
    sections = [
        element("section", element("h2", name, id=key), content, aria_labelledby=key)
        for key, name, content in told
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(_style())),
    )
    body = element(
        "body",
        element("a", "To the results", href="#content", class_="skip"),
        element("header", element("h1", title), element("p", _subtitle(report), class_="soft")),
        element("nav", element("ul", *links), aria_label="Contents"),
        element("main", *sections, id="content", tabindex=-1),
        element("footer", element("p", _footer(report))),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _style() -> str:
    return (files(__package__) / "style.css").read_text(encoding="utf-8")


def _subtitle(report: Report) -> str:
    first = report.runs[0].files
    if len(report.runs) > 1:
        return f"{len(report.runs)} runs side by side"
    if first.config is None:
        return f"{first.algorithm} by fewstep.fit"
    config = first.config
    size = ""
    if config.kind == "classification":
        size = f", {config.ways('test')}-way {config.shots('test')[0]}-shot"
    return f"{config.algorithm} on {config.data_name}{size}, seed {config.seed}"


def _footer(report: Report) -> Html:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return joined(f"fewstep {__version__}, {now}", element("br"), report.command)
