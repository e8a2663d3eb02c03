"""One run of ``fewstep train``: what is told before, the training, and the final test."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fewstep.cli import picture_folder, table_file
from fewstep.cli.progress import ProgressBar
from fewstep.cli.results import final_test, show_finished
from fewstep.cli.table_changes import changes
from fewstep.config.schema import Config
from fewstep.data.source import KeptSplit
from fewstep.distributed.ranks import ranks
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Tasks, check_goes_on, trained
from fewstep.training.same_data import check_same_data
from fewstep.training.split_file import kept_split


def train_and_test(
    config: Config,
    run_dir: Path,
    console: Console,
    split: KeptSplit | None = None,
    *,
    command: Sequence[str],
) -> None:
    """Train in a run directory and test, or show the test of a run that is finished.

    The test tells the words of the ``command`` that it came about by.
    """

    def show_pictures(run: RunDir, tasks: Tasks) -> None:
        if config.folder and not run.contact_sheet.exists():
            picture_folder.draw(run.contact_sheet, config, tasks, console)

    check_same_data(config, run_dir)
    # What others find there depends on how far the first is.
    if ranks().from_first(lambda: show_finished(config, run_dir, console)):
        if config.table and (told := changes(config, run_dir)):
            console.print(told, soft_wrap=True, highlight=False, markup=False)
    else:
        check_goes_on(config, run_dir)
        # Several seeds have one split.
        if (config.folder or config.table) and split is None:
            own = picture_folder if config.folder else table_file
            own.tell(config, kept_split(config, RunDir(run_dir)), console)
        with trained(config, run_dir, ProgressBar(console, config), show_pictures, split) as run:
            final_test(run, run_dir, console, command)
