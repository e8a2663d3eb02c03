"""The tables of `benchmarks`, with the machine and the versions."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.gradients import SAME
from benchmarks.process import REPEATS
from benchmarks.workloads import WORKLOADS

Rows = dict[str, dict[str, Any]]
"""The findings for each library."""
COLUMNS = {
    "ms": ".1f",
    "tasks_per_second": ".0f",
    "beside_best": ".2f",
    "peak_mib": ".0f",
    "setup_seconds": ".1f",
    "share_of_limit": ".0%",
}
"""Of the table, and how many digits."""


def table(rows: Rows) -> str:
    """Markdown."""
    lines = [
        "| library | ms an outer step | tasks/s | time beside fewstep's best | peak MiB "
        "| set-up s | share of the limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "ms" in row:
            cells = [format(row[key], form) if key in row else "" for key, form in COLUMNS.items()]
        elif "failed" in row:
            cells = [f"failed: {row['failed']}", *5 * [""]]
        elif row.get("deviation", 0.0) >= SAME:
            cells = [f"not timed: its gradient differs by {row['deviation']:.1e}", *5 * [""]]
        else:
            cells = ["not timed", *5 * [""]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def head(told: dict[str, Any]) -> str:
    """The versions."""
    return ", ".join(f"{name} {number}" for name, number in told["versions"].items())


def page(told: dict[str, Any]) -> str:
    """All tables with the machine and the versions."""
    text = (
        f"# Speed\n\nExact meta-gradients in float32, median of {REPEATS} interleaved outer steps, "
        f"one process a library.\n{told['machine']}; {head(told)}.\nBy `make bench`; columns and "
        "rows are explained in [docs/speed.md](../../docs/speed.md).\n"
    )
    for name, rows in told["workloads"].items():
        text += f"\n## {name}: {WORKLOADS[name].text}\n\n{table(rows)}\n"
    return text


def machine() -> str:
    """Processor and threads."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{model}, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"python": platform.python_version()}
    for name in ("torch", "fewstep", "higher", "torchopt", "iteryne", "parallel-metalearn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
