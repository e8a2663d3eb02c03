"""Paths of run directories: checked, and named where they stand side by side."""

from collections.abc import Sequence
from pathlib import Path

from fewstep.errors import InputError


def named_runs(paths: Sequence[Path]) -> dict[str, Path]:
    """Run directories by the folders' own names where these differ, else by their whole paths.

    Raises:
        InputError: There is none, one is given twice, or its name is no text.
    """
    if not paths:
        raise InputError("no run directory given; expected at least one")
    for path in paths:
        check_is_text(path)
    whole = [str(path.resolve()) for path in paths]
    if len(set(whole)) < len(whole):
        twice = next(name for name in whole if whole.count(name) > 1)
        raise InputError(f"{twice} is given twice; name each run directory once")
    short = [path.resolve().name for path in paths]
    names = whole if len({*short, "random"}) <= len(short) else short
    return dict(zip(names, paths, strict=True))


def check_is_text(run_dir: Path) -> None:
    """See that checkpoints and TensorBoard's files can be there: not where bytes are no text."""
    try:
        str(run_dir.absolute()).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"run directory {run_dir} is not valid UTF-8, as its files need; choose another name"
        ) from error
