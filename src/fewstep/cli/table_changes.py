"""Changes of the table of a finished run, whose results are shown as they are."""

from pathlib import Path

from fewstep.cli.table_file import newcomers
from fewstep.config.schema import Config
from fewstep.data.columns.naming import MOST, listed
from fewstep.data.registry import task_sources
from fewstep.data.tables.source import open_table, split_table
from fewstep.errors import InputError
from fewstep.training import checkpoint
from fewstep.training.provenance import fingerprint
from fewstep.training.run_dir import RunDir
from fewstep.training.split_file import kept_split


def changes(config: Config, run_dir: Path) -> str:
    """A sentence on how the table differs from the one that a finished run has seen; "" for none.

    The table is read only where a file of it was changed after the run was begun.
    """
    path, files = Path(str(config.table)), RunDir(run_dir)
    if not path.exists():
        return f"{path} is not there any more; the results are of the table as it was"
    told = _found(config, files) if _touched(path) > files.versions.stat().st_mtime_ns else []
    if not told:
        return ""
    return (
        f"{path.name} changed since this run: {'; '.join(told)}. The results are of the table as "
        "it was; choose another --run-dir to train on it as it is"
    )


def _touched(path: Path) -> int:
    """When a table, or a file in a folder of them, was changed, moved there or taken away."""
    places = [path, *(path.iterdir() if path.is_dir() else ())]
    states = [place.stat() for place in places if place == path or not place.is_dir()]
    times: list[int] = [max(state.st_mtime_ns, state.st_ctime_ns) for state in states]
    return max(times)


def _found(config: Config, files: RunDir) -> list[str]:
    kept = kept_split(config, files)
    try:
        digest = fingerprint(task_sources(config, kept))
        table = open_table(config)
        new = newcomers(config, table, split_table(table, config, kept))
    except InputError as error:
        return [str(error)]
    told = []
    if new:
        are = "task is" if len(new) == 1 else "tasks are"
        told.append(f"{len(new):,} {are} new: {listed(new, MOST)}")
    before = checkpoint.load(files.last)[1].computed_with.get("data", digest)
    return [*told, "rows of its tasks are others"] if before != digest else told
