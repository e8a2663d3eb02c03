"""The findings as a page, and as a few lines."""

from __future__ import annotations

from typing import Any

from benchmarks.gradients import SAME
from benchmarks.libraries import OWN_ON_GPU
from benchmarks.report import Rows, head, table
from benchmarks.workloads import WORKLOADS

Told = dict[str, Any]
TEXT = """
Exact meta-gradients; milliseconds of an outer step, median, the device waited for before and after
each. Memory is what PyTorch reserves. By `python -m benchmarks --device cuda`; columns and rows are
explained in [docs/speed.md](../../docs/speed.md). The limit is the rate of a large product of
float32 matrices on the same card: {rate:.1f} TFLOP/s.
"""


def page(told: Told) -> str:
    """All tables with the card and the versions."""
    rate = told["best_rate"] / 1e12
    text = f"# Speed on {told['machine']}\n\n{head(told)}.\n{TEXT.format(rate=rate)}"
    for name, rows in sorted(told["workloads"].items()):
        rows = completed(name, told)
        text += f"\n## {name}: {WORKLOADS[name].text}\n\n{table(rows)}\n\n{beside(rows)}\n"
    return text + (f"\n{precisions(told)}" if told["precision"] else "")


def completed(workload: str, told: Told) -> Rows:
    """The rows of a workload, fewstep's first, with what follows from their times."""
    rows: Rows = {}
    own = [r["ms"] for n, r in told["workloads"][workload].items() if _own(n) and "ms" in r]
    for name, row in sorted(told["workloads"][workload].items(), key=lambda i: not _own(i[0])):
        rows[name] = dict(row)
        if "ms" in row:
            operations = told["operations"].get(workload, 0)
            rows[name] |= {
                "tasks_per_second": WORKLOADS[workload].tasks / row["ms"] * 1000,
                "beside_best": row["ms"] / min(own, default=float("nan")),
                "share_of_limit": operations / (told["best_rate"] or 1) / row["ms"] * 1000,
            }
    return rows


def beside(rows: Rows) -> str:
    """How many times as long the fastest exact peer takes, and what else is known."""
    peers = {n: r["ms"] for n, r in rows.items() if not _own(n) and "ms" in r}
    own = rows.get("fewstep", {})
    said = []
    if peers and "ms" in own:
        name = min(peers, key=lambda name: peers[name])
        said.append(f"The fastest exact peer, {name}, takes {peers[name] / own['ms']:.1f} times")
        said[0] += " as long as fewstep."
    if "deviation" not in own:
        said.append("The gradient of fewstep as it chooses was not compared in float64.")
    elif own["deviation"] >= SAME:
        said.append(f"**The gradient of fewstep is another by {own['deviation']:.1e}.**")
    words = {
        "kernels": "Kernels of one outer step: {}.",
        "second_start_seconds": "A second start takes {:.1f} s.",
    }
    return " ".join(said + [text.format(own[key]) for key, text in words.items() if key in own])


def precisions(told: Told) -> str:
    """The table of precisions."""
    lines = ["## Precision", "", "| workload | precision | deviation | cosine | ms |"]
    lines.append("|---|---|---|---|---|")
    for name in sorted(told["precision"]):
        for precision, row in sorted(told["precision"][name].items(), key=_float32_first):
            cells = [_in(".1e", row.get("deviation")), _in(".5f", row.get("cosine"))]
            cells.append(_in(".2f", row.get("ms")))
            lines.append(f"| {name} | {precision} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def summary(told: Told) -> str:
    """A few lines for the end of a run."""
    lines = [f"{told['machine']}; {head(told)}; {told['best_rate'] / 1e12:.1f} TFLOP/s"]
    for name in sorted(told["workloads"]):
        rows = completed(name, told)
        for library, row in rows.items():
            figures = {k: _rounded(v) for k, v in row.items() if k != "kernels"}
            lines.append(f"{name} {library}: {figures}")
        lines.append(f"{name}: {beside(rows)}")
    if told["precision"]:
        lines.append(precisions(told))
    for name, part in told["parts"].items():
        said = {k: _rounded(v) for k, v in part.items() if k not in ("lines", "others")}
        lines.append(f"{name}: {said}")
        lines += part.get("others", [])[:30] + part.get("lines", [])[-12:]
    return "\n".join(lines)


def _own(library: str) -> bool:
    return library in OWN_ON_GPU


def _float32_first(item: tuple[str, object]) -> tuple[bool, str]:
    return item[0] != "float32", item[0]


def _in(form: str, value: float | None) -> str:
    return "" if value is None else format(value, form)


def _rounded(value: object) -> object:
    return float(f"{value:.3g}") if isinstance(value, float) else value
