"""The section that says what was trained and how to do it again."""

from typing import Any

from fewstep.evaluation.numbers import shown
from fewstep.report.page.command import command, differences
from fewstep.report.page.html import Html, element, joined, table
from fewstep.report.page.measured import Report, Reported
from fewstep.report.page.results import how_far, seconds
from fewstep.training.provenance import fingerprint

NO_DATA = fingerprint({})
MOST_NAMES = 30
"""Classes or tasks of a part of a split that are named."""


def repeat(report: Report) -> Html:
    """All of each run that repeating it needs."""
    several = len(report.runs) > 1
    parts = [
        joined(element("h3", run.files.name) if several else None, _of_run(run))
        for run in report.runs
    ]
    return joined(*parts)


def _of_run(run: Reported) -> Html:
    files, config = run.files, run.files.config
    parts: list[Html | None] = []
    if config is None:
        told = "Trained by fewstep.fit in a program of your own; its settings are below."
        parts.append(element("p", told))
    else:
        line = command(config)
        told = line or f"There is no recipe {config.recipe!r} in this version of fewstep."
        parts.append(element("p", "Train it again, on the same data, with any run directory:"))
        parts.append(element("pre", element("code", told)))
    parts.append(_facts(run))
    if config is not None and (found := differences(config)):
        rows = [[name, _plain(own), _plain(before)] for name, before, own in found]
        usual = "folder's" if config.folder else "table's" if config.table else "recipe's"
        caption = f"{files.name}: settings that differ from the {usual} own"
        parts.append(table(caption, ["setting", "this run", f"the {usual} own"], rows))
    elif config is not None:
        parts.append(element("p", "All settings are the recipe's own."))
    parts.append(_split(run))
    rows = [[name, _plain(value)] for name, value in files.settings.items()]
    whole = table(f"{files.name}: all settings", ["setting", "value"], rows)
    parts.append(element("details", element("summary", "All settings"), whole))
    return joined(*parts)


def _facts(run: Reported) -> Html:
    """Data, seed, versions, machine and times."""
    files, config, progress = run.files, run.files.config, run.files.progress
    by = progress.computed_with if progress else {}
    facts: list[tuple[str, Any]] = [("run directory", files.path)]
    if config is not None:
        facts.append(("data", config.folder or config.table or config.data_name))
        facts.append(("network", config.model))
    facts += [
        ("data digest", None if by.get("data") == NO_DATA else by.get("data")),
        ("seed", files.settings.get("seed")),
        ("outer steps", how_far(run)),
        (
            "training time",
            f"{seconds(progress.seconds)}, validation included" if progress else None,
        ),
        ("outer steps a second", _rate(run)),
        ("kept", _kept(run)),
        ("device", by.get("device") or files.settings.get("device")),
        ("processor", by.get("processor")),
        ("machine", by.get("machine") or files.versions.get("machine")),
        ("threads", by.get("threads")),
        ("ranks", by.get("ranks")),
    ]
    versions = ", ".join(f"{n} {v}" for n, v in files.versions.items() if n != "machine")
    facts.append(("versions", versions or None))
    facts.append(("typed at the last test", (files.summary or {}).get("command")))
    told = [
        joined(element("dt", name), element("dd", str(value)))
        for name, value in facts
        if value is not None
    ]
    return element("dl", *told)


def _rate(run: Reported) -> str | None:
    progress = run.files.progress
    if progress is None or not progress.seconds or not progress.step:
        return None
    return f"{progress.step / progress.seconds:.3g}"


def _kept(run: Reported) -> str | None:
    progress = run.files.progress
    if progress is None or progress.best_score is None:
        return None
    score = run.files.score
    value = shown(score, progress.best_score)
    return f"the initialisation after outer step {progress.best_step:,}, validation {score} {value}"


def _split(run: Reported) -> Html | None:
    """The classes or tasks of each part, where the run keeps them."""
    words = {"train": "training", "val": "validation", "test": "test"}
    told = {part: run.files.split.get(part) for part in words}
    parts = {part: names for part, names in told.items() if isinstance(names, list)}
    if not parts:
        return None
    config = run.files.config
    of = "tasks" if config and config.table else "classes"
    rows = []
    for part, names in parts.items():
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        named = ", ".join(str(name) for name in names[:MOST_NAMES])
        rows.append([words[part], str(len(names)), named + more])
    caption = f"{run.files.name}: {of} of each part of the split"
    return table(caption, ["part", of, "which"], rows)


def _plain(value: Any) -> str:
    if value is None:
        return "not given"
    return str(value).lower() if isinstance(value, bool) else str(value)
