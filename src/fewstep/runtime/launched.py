"""A launcher such as torchrun, as the environment tells of it."""

import os


def launched() -> bool:
    """Whether this process was started as one of several ranks, and told where they meet."""
    return _number("WORLD_SIZE", 1) > 1 and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def rank() -> int:
    """Return the number of this process among those that were launched; 0 where it is alone."""
    return _number("RANK", 0) if launched() else 0


def rank_here() -> int:
    """Return its number among those of this machine."""
    return _number("LOCAL_RANK", 0) if launched() else 0


def _number(name: str, usual: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else usual
