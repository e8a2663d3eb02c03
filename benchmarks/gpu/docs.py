"""The findings as the tables of a page of the documentation.

``python -m benchmarks.gpu.docs CARD.json PAGE.md`` puts them where the page has ``<!-- gpu -->``
and ``<!-- precision -->``, in the place of all until the next ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from benchmarks.gpu.report import Told, completed, fastest_peer, precisions
from benchmarks.report import Rows

ROWS = {
    "fewstep, as it chooses": ("fewstep", "ms", ".2f"),
    "of these, the host's work": ("fewstep", "host_ms", ".2f"),
    "kernels": ("fewstep", "kernels", ""),
    '`execution="vectorised"`': ("fewstep, vectorised", "ms", ".1f"),
    '`execution="loop"`': ("fewstep, loop", "ms", ".0f"),
    "plain loop": ("plain loop", "ms", ".0f"),
    "fastest exact library": ("", "ms", ".1f"),
    "its time beside fewstep's": ("", "beside_best", ".1f"),
    "share of the limit": ("fewstep", "share_of_limit", ".0%"),
    "set-up in seconds, all at once": ("fewstep", "setup_seconds", ".0f"),
    "a second start, alone": ("fewstep", "second_start_seconds", ".1f"),
    "memory reserved, MiB": ("fewstep", "peak_mib", ".0f"),
    "deviation in float64": ("fewstep", "deviation", ".0e"),
}
"""Of the table: which library, which figure, how many digits; the fastest peer without a name."""


def filled(page: str, told: Told) -> str:
    """The page with the tables of a card."""
    for name, text in (("gpu", table(told)), ("precision", precisions(told))):
        page = re.sub(
            f"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda found, text=text: f"{found[1]}{text}{found[2]}",
            page,
            flags=re.S,
        )
    return page


def table(told: Told) -> str:
    """One column a workload."""
    names = sorted(told["workloads"])
    columns = [completed(name, told) for name in names]
    lines = [f"{told['machine']}, torch {told['versions']['torch']}:\n"]
    lines += [f"| | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    for text, row in ROWS.items():
        cells = [_cell(rows, *row) for rows in columns]
        if any(cells):
            lines.append(f"| {text} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(rows: Rows, library: str, key: str, form: str) -> str:
    peer = fastest_peer(rows)
    row = rows.get(library or peer or "", {})
    if key not in row:
        return ""
    name = f" ({peer})" if not library and key == "ms" else ""
    return format(row[key], form) + name


if __name__ == "__main__":
    found, page = (Path(argument) for argument in sys.argv[1:])
    page.write_text(filled(page.read_text(), json.loads(found.read_text())))
