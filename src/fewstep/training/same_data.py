"""A run goes on with its own pictures or table, wherever these are now."""

from pathlib import Path

from fewstep.config.file import read_config
from fewstep.config.schema import Config
from fewstep.data.registry import task_sources
from fewstep.errors import InputError
from fewstep.training import checkpoint
from fewstep.training.provenance import fingerprint
from fewstep.training.run_dir import RunDir
from fewstep.training.split_file import kept_split


def check_same_data(config: Config, path: Path) -> None:
    """See that a run, if one is there, is of the folder or the table of a config.

    Two may have one name, and so one run directory. What was only moved has the same content; it
    is read where its path is another than that of the run.

    Raises:
        InputError: The run is of another.
    """
    now, files = config.folder or config.table, RunDir(path)
    if now is None or not files.config.exists():
        return
    run = read_config(files.config, resume=True)
    before = run.folder or run.table
    if before is None or Path(before).resolve() == Path(now).resolve():
        return
    if not _has_content(config, files):
        raise InputError(
            f"{path} holds a run of {before}, and {now} is other data; choose another --run-dir"
        )


def _has_content(config: Config, files: RunDir) -> bool:
    """Whether the data are those that the run was last saved with."""
    if not files.last.exists():
        return False
    try:
        digest = fingerprint(task_sources(config, kept_split(config, files)))
    except InputError:
        return False
    return digest == checkpoint.load(files.last)[1].computed_with.get("data")
