"""Results of runs, written for people.

write_report: Runs as one HTML page, which needs no other file and no network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewstep.report.write import write_report as write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: it measures runs, and who draws a picture needs no training for that.
    if name == "write_report":
        from fewstep.report.write import write_report

        return write_report
    raise AttributeError(f"module 'fewstep.report' has no attribute {name!r}")
