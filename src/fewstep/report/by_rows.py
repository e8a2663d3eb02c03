"""Models by the rows of a new task: lines of text, sentences and JSON values."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from fewstep.config.schema import Config
from fewstep.evaluation.by_rows import AtRows, Mean
from fewstep.evaluation.numbers import averaged, rows_up_to, shown
from fewstep.evaluation.rivals.of_tables import DESCRIBED, MIXED, POOLED, TUNED
from fewstep.files import rounded
from fewstep.report.columns import in_parts
from fewstep.whole_numbers import counted


def as_lines(config: Config, found: Sequence[AtRows], draws: int, width: int) -> Iterator[str]:
    """The table, a sentence for each number of rows, what was chosen, and the protocol."""
    score = config.score
    heading = ["rows of the task", *(str(at.rows) for at in found)]
    unit = " in %" if score == "accuracy" else ""
    yield f"{score} of {config.target}{unit} on new tasks, by their rows"
    rows = [[name, *(_cell(score, at.mean(name)) for at in found)] for name in found[0].scores]
    yield from in_parts(heading, rows, width)
    yield ""
    yield from (sentence(score, at) for at in found)
    yield ""
    for name in found[0].scores:
        if name in DESCRIBED:
            yield f"{name}: {DESCRIBED[name]}{_chosen(name, found)}"
    yield from on_using(found)
    yield protocol(config, found, draws)


def sentence(score: str, at: AtRows) -> str:
    """Which model is the best, which are not told apart from it, and how far the others are."""
    rows = counted(at.rows, "row")
    best, level = at.best, at.level
    told = f"{rows}: {best} is best, {shown(score, at.mean(best).mean)}"
    if level:
        told += f"; not told apart from it: {', '.join(level)}"
    lost = [name for name in at.scores if not math.isfinite(at.mean(name).mean)]
    behind = [name for name in at.scores if name not in (best, *level, *lost)]
    if behind:
        told += "; behind: " + ", ".join(
            f"{name} by {_behind(score, at.behind(name, best))}" for name in behind
        )
    if lost:
        draws = {name: at.diverged.get(name) for name in lost}
        many = [
            f"{name} ({n} {'draw' if n == 1 else 'draws'})" if n else name
            for name, n in draws.items()
        ]
        told += f"; diverged, so without a mean: {', '.join(many)}"
    return told


def protocol(config: Config, found: Sequence[AtRows], draws: int) -> str:
    """The line that belongs under every number."""
    tasks = sorted({at.tasks for at in found})
    many = f"{tasks[0]}" if len(tasks) == 1 else f"{tasks[0]} to {tasks[-1]}"
    return (
        f"{many} test tasks of {config.data_name}, {draws} draws of rows, the same for all, "
        f"{rows_up_to(config.shots('test')[1])}; {averaged(config.score)}; differences are paired "
        f"by task; one model, seed {config.seed}"
    )


def on_using(found: Sequence[AtRows]) -> Iterator[str]:
    """A line for each model that is best somewhere and is no run: how it is used."""
    best = {at.best for at in found}
    if best & {POOLED, TUNED}:
        yield f"to use the {POOLED}: --algorithm finetune trains it as a run that adapt takes"
    if MIXED in best:
        yield f"to use {MIXED}: a few lines of Python, in docs/tables.md"


def as_json(config: Config, found: Sequence[AtRows], draws: int) -> dict[str, Any]:
    """The same as JSON values, by the number of rows."""
    of_rows = {str(at.rows): _at_rows(at) for at in found}
    told = {
        "recipe": config.recipe,
        "data": config.data_name,
        "target": config.target,
        "score": config.score,
        "seed": config.seed,
        "draws": draws,
        "q_query": config.shots("test")[1],
        "rows": of_rows,
    }
    result: dict[str, Any] = rounded(told)
    return result


def _at_rows(at: AtRows) -> dict[str, Any]:
    models = {
        name: {
            "mean": at.mean(name).mean,
            "ci95": at.mean(name).ci95,
            "behind_best": at.behind(name, at.best).mean,
            "behind_best_ci95": at.behind(name, at.best).ci95,
            "chosen": at.chosen.get(name) or None,
            "diverged": at.diverged.get(name, 0),
        }
        for name in at.scores
    }
    return {"tasks": at.tasks, "best": at.best, "not_told_apart": at.level, "models": models}


def _cell(score: str, mean: Mean) -> str:
    if not math.isfinite(mean.mean):
        return "diverged"
    # The sign of percent stands in the title; without spaces more columns fit a terminal.
    return shown(score, *mean).replace("%", "").replace(" ", "")


def _behind(score: str, difference: Mean) -> str:
    told = shown(score, *difference)
    # A difference of two shares is no share.
    return f"{told.replace('%', '')} percentage points" if score == "accuracy" else told


def _chosen(name: str, found: Sequence[AtRows]) -> str:
    """The choices made on validation tasks, for each number of rows if they differ."""
    chosen = {at.rows: at.chosen.get(name, "") for at in found}
    if not any(chosen.values()):
        return ""
    if len(set(chosen.values())) == 1:
        return f"; {found[0].chosen[name]}"
    return "; " + ", ".join(f"{told} ({rows})" for rows, told in chosen.items())
