"""``fewstep report RUN_DIR RUN_DIR ...``: runs as one HTML page."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import DataDir, Tasks, check_file, check_is_text, data_folder, parse
from fewstep.cli.run_names import run_names
from fewstep.errors import InputError
from fewstep.files import make_folder, write_whole

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
    if not options.run_dirs:
        raise InputError("no run directory given; expected at least one (fewstep report --help)")
    for path in options.run_dirs:
        check_is_text(path)
    folder = data_folder(options.data_dir)
    if options.out.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"report {options.out} is no HTML file by its name; expected one that ends .html"
        )
    # Now, since all runs are evaluated before it is written.
    check_file(options.out)

    from fewstep.cli.reporting import Measuring
    from fewstep.report.page.measured import Report
    from fewstep.report.page.page import page
    from fewstep.report.page.run_files import read_run

    names = run_names(options.run_dirs)
    # All of them first: what is no run is told before anything is computed.
    files = [read_run(path, name) for name, path in zip(names, options.run_dirs, strict=True)]
    measuring = Measuring(options.tasks, folder, options.data_dir, options.device, error_console())
    runs = [measuring.reported(run) for run in files]
    command = shlex.join(["fewstep", "report", *arguments])
    content = page(Report(runs, measuring.groups(), command)).encode()
    make_folder(options.out.parent)
    write_whole(options.out, lambda part: part.write_bytes(content))
    plain_console().print(f"report: {options.out}", soft_wrap=True)
    return 0
