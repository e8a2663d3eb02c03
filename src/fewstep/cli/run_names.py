"""Names of runs that stand side by side."""

from pathlib import Path

from fewstep.errors import InputError


def run_names(paths: tuple[Path, ...]) -> list[str]:
    """The folders' own names where they tell the runs apart, else their whole paths."""
    whole = [str(path.resolve()) for path in paths]
    if len(set(whole)) < len(whole):
        twice = next(name for name in whole if whole.count(name) > 1)
        raise InputError(f"{twice} is given twice; name each run directory once")
    short = [path.resolve().name for path in paths]
    return whole if len({*short, "random"}) <= len(short) else short
