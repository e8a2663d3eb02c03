"""A report, measured and written."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from fewstep.errors import InputError
from fewstep.files import check_writable, write_out
from fewstep.report.measuring import Measuring
from fewstep.report.page.measured import Report
from fewstep.report.page.page import page
from fewstep.report.page.run_files import read_run
from fewstep.training.run_names import named_runs
from fewstep.whole_numbers import check_whole


def write_report(
    run_dirs: str | Path | Sequence[str | Path],
    out: str | Path = "report.html",
    *,
    tasks: int = 100,
    data_dir: str | Path | None = None,
    device: str = "cpu",
) -> None:
    """Write one HTML page about runs, which needs no other file and no network.

    It tells what ``fewstep report`` tells: results, curves, how far probabilities can be believed,
    confused classes, the best and the worst tasks, and how to repeat each run. The runs are
    evaluated for it; one of `fewstep.fit` is told without, since its network is the user's.

    Args:
        run_dirs: A run directory, or several, of any kinds.
        out: Where to write the page; its folder is made where it is missing.
        tasks: Test tasks to evaluate each run on.
        data_dir: The folder of the data, or the new place of a run's own pictures or table; that
            of the variable FEWSTEP_DATA or of the run unless given.
        device: Where to compute.

    Raises:
        InputError: A folder is no run, or the page cannot be written.

    >>> import tempfile, torch, fewstep
    >>> from pathlib import Path
    >>> from fewstep.report import write_report
    >>> def tasks(step):
    ...     x, y = torch.rand(2, 10, 1), torch.rand(2, 10, 1)
    ...     return fewstep.TaskBatch(x, y, x, y)
    >>> learner = fewstep.MAML(torch.nn.Linear(1, 1), loss="mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = fewstep.fit(learner, tasks, steps=2, run_dir=f"{folder}/mine")
    ...     write_report(f"{folder}/mine", f"{folder}/mine.html")
    ...     Path(folder, "mine.html").read_text(encoding="utf-8")[:15]
    '<!doctype html>'
    """
    given = [run_dirs] if isinstance(run_dirs, str | Path) else run_dirs
    runs = named_runs([Path(path) for path in given])
    tasks = check_whole("tasks", tasks, 1)
    check_page(Path(out))
    moved = None if data_dir is None else str(data_dir)
    folder = moved or os.environ.get("FEWSTEP_DATA")
    measuring = Measuring(tasks, folder, moved, device)
    write(runs, Path(out), measuring, shlex.join(["fewstep", "report", *map(str, runs.values())]))


def write(runs: Mapping[str, Path], out: Path, measuring: Measuring, command: str) -> None:
    """Read and measure runs, and write the page."""
    # All of them first: what is no run is told before anything is computed.
    files = [read_run(path, name) for name, path in runs.items()]
    reported = [measuring.reported(run) for run in files]
    write_out(out, page(Report(reported, measuring.groups(), command)).encode())


def check_page(out: Path) -> None:
    """See that a page may be written there, as far as can be told before."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"report {out} is no HTML file by its name; expected one that ends .html")
    check_writable(out)
