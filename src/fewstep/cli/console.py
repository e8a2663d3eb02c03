"""The terminal as every command writes to it."""

from __future__ import annotations

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """A console that takes a user's paths and names for what they are, and colours no figures."""
    return Console(stderr=stderr, markup=False, highlight=False)
