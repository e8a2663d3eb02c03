"""The page of the benchmark of tables: errors, differences, and every defeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.table_sources import SOURCES

OURS, POOLED, TUNED, MIXED = "fewstep", "pooled network", "fine-tuned", "mixed effects"
BENT = ("gapminder", "Milk")
"""Tables whose relation is no straight line."""


def page(told: Mapping[str, Any]) -> str:
    """The whole page as Markdown."""
    first = next(iter(told.values()))
    head = f"{first['machine']}; " + ", ".join(f"{n} {v}" for n, v in first["versions"].items())
    lines = [
        "# New tasks of six tables, from 5 and 10 of their rows",
        "",
        "Error (RMSE in the target's unit, the less the better) on tasks of which no row was seen "
        "in training; mean ± 95% interval over tasks, of 3 seeds; every model sees the same rows. "
        "`behind` is how much larger its error is than fewstep's, paired by task: below zero, "
        "fewstep loses. Tasks are split 60/20/20 into training, validation and test; settings are "
        "chosen on validation tasks by the same rule for all tables and for the pooled network. "
        "Columns and models are explained in [docs/tables.md](../../docs/tables.md).",
        "",
        f"{head}.",
        "",
        "    python -m benchmarks.tables OUT",
        "",
        *summary(told),
    ]
    for name, found in told.items():
        lines += ["", f"## {name}", "", f"{SOURCES[name].about}.", "", *table(found), ""]
        settings = ", ".join(f"{key} {value:g}" for key, value in found["chosen"].items())
        lines += [
            f"Chosen: {settings}. {found['minutes']:.1f} minutes, "
            f"{found['cpu_minutes']:.1f} of a core.",
            "",
        ]
        lines += [f"    {command}" for command in found["commands"]]
    return "\n".join(lines) + "\n"


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """Errors and differences of one table."""
    rows = found["rows"]
    yield "| | " + " | ".join(f"{k} rows | behind" for k in rows) + " |"
    yield "|---" * (1 + 2 * len(rows)) + "|"
    for name in next(iter(rows.values()))["models"]:
        cells = []
        for at in rows.values():
            one = at["models"][name]
            best = min(at["models"].values(), key=lambda other: other["mean"]) is one
            mean = f"{one['mean']:.4g} ± {one['ci95']:.2g}"
            cells.append(f"**{mean}**" if best else mean)
            cells.append("" if name == OURS else shown(one["behind"]))
        yield f"| {name} | " + " | ".join(cells) + " |"


def summary(told: Mapping[str, Any]) -> Iterator[str]:
    """How often fewstep's error is below the networks', and every defeat."""
    for k in next(iter(told.values()))["rows"]:
        behind = {
            name: {model: one["behind"] for model, one in found["rows"][k]["models"].items()}
            for name, found in told.items()
        }
        below = [n for n, of in behind.items() if min(of[POOLED]["mean"], of[TUNED]["mean"]) > 0]
        above = [n for n, of in behind.items() if of[MIXED]["mean"] + of[MIXED]["ci95"] < 0]
        bent = [n for n in BENT if n in behind and behind[n][MIXED]["mean"] > 0]
        yield (
            f"- {k} rows: below the pooled and the fine-tuned network on {len(below)} of "
            f"{len(told)} tables ({', '.join(below) or 'none'}); above the mixed-effects model "
            f"beyond the paired interval on {', '.join(above) or 'none'}; below it on "
            f"{', '.join(bent) or 'neither'} of those that bend"
        )
        lost = [
            f"{name} to {model} by {shown({**one, 'mean': -one['mean']})}"
            for name, of in behind.items()
            for model, one in of.items()
            if model != OURS and one["mean"] < 0
        ]
        yield f"- {k} rows, defeats: {'; '.join(lost) or 'none'}"


def shown(difference: Mapping[str, float]) -> str:
    """A difference with its interval; one that holds no zero is marked."""
    mean, half = difference["mean"], difference["ci95"]
    return f"{mean:+.2g} ± {half:.2g}" + (" *" if abs(mean) > half else "")
