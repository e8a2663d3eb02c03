"""Results of runs, written for people.

write_report: Runs as one HTML page, which needs no other file and no network.
"""

from fewstep.report.write import write_report

__all__ = ["write_report"]
