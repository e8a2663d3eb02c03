"""``fewstep report RUN_DIR RUN_DIR ...``: runs as one HTML page."""

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import DataDir, Tasks, data_folder, parse
from fewstep.training.run_names import named_runs

_PATHS = arg(metavar="PATH ...", help_behavior_hint="")


@dataclass(frozen=True)
class ReportOptions:
    """Write one HTML page about runs, which needs no other file and no network.

    It tells results, curves of the training and of adaptation, how far probabilities can be
    believed, which classes are confused, the best and the worst tasks, and how to repeat each run.
    An unfinished run is told as far as it came. fewstep compare adds the rivals of a table.
    """

    run_dirs: Annotated[Positional[tuple[Path, ...]], _PATHS]
    """Run directories of fewstep train or fit, of any kinds."""
    out: Path = Path("report.html")
    """Where to write the page."""
    tasks: Tasks = 100
    """Test tasks to evaluate on for the curves and the single tasks."""
    data_dir: DataDir = None
    """The folder that holds omniglot/, or the new place of a run's own pictures or table."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, ..."""


def main(arguments: list[str]) -> int:
    """Read and evaluate all runs; write the page."""
    options = parse(ReportOptions, "report", arguments)
    runs = named_runs(options.run_dirs)
    folder = data_folder(options.data_dir)

    from fewstep.cli.progress import counting
    from fewstep.report.measuring import Measuring
    from fewstep.report.write import check_page, write

    # Now, since all runs are evaluated before it is written.
    check_page(options.out)
    bar = partial(counting, error_console())
    measuring = Measuring(options.tasks, folder, options.data_dir, options.device, bar)
    write(runs, options.out, measuring, shlex.join(["fewstep", "report", *arguments]))
    plain_console().print(f"report: {options.out}", soft_wrap=True)
    return 0
