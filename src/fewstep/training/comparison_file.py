"""The result of ``fewstep compare`` for a run, as a file of it: ``comparison.json``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fewstep.errors import InputError
from fewstep.evaluation.numbers import shown
from fewstep.files import read_json_object
from fewstep.training.run_dir import RunDir
from fewstep.whole_numbers import counted


class Kept(NamedTuple):
    """The result for a number of rows: the best model's score and that of the run."""

    rows: int
    score: str
    best: str
    best_value: float
    run_value: float
    is_best: bool
    is_level: bool

    def line(self, run: Path) -> str:
        """One sentence for people."""
        rows = counted(self.rows, "row")
        best = "this run" if self.is_best else self.best
        told = (
            f"fewstep compare {run} found with {rows} of test tasks: {best} is best, "
            f"{self.score} {shown(self.score, self.best_value)}"
        )
        if self.is_best:
            return told
        level = ", not told apart from it" if self.is_level else ""
        return f"{told}; this run {shown(self.score, self.run_value)}{level}"


def keep_comparison(path: Path, name: str, told: Mapping[str, Any]) -> None:
    """Write what was found, in which the run has this name, into its directory.

    Raises:
        InputError: It cannot be written.
    """
    files = RunDir(path)
    files.write_json(files.comparison, {"run": name, **told})


def read_comparison(path: Path, rows: int) -> Kept | None:
    """The result for the nearest number of rows that is not larger.

    Returns:
        None where nothing is known: it was not compared, or the file is damaged.
    """
    try:
        told = read_json_object(RunDir(path).comparison, "")
        nearest = max(int(n) for n in told["rows"] if int(n) <= rows)
        at = told["rows"][str(nearest)]
        run, best = told["run"], at["best"]
        first, ours = (float(at["models"][name]["mean"]) for name in (best, run))
        level = run in at["not_told_apart"]
        return Kept(nearest, told["score"], best, first, ours, best == run, level)
    except (OSError, InputError, ValueError, LookupError, TypeError):
        return None
