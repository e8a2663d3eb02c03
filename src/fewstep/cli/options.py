"""Turns flags into a dataclass, and a mistake in them into one line."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import TypeVar

import tyro

from fewstep.errors import InputError

Options = TypeVar("Options")


def parse(
    kind: type[Options], command: str, arguments: list[str], default: Options | None = None
) -> Options:
    """The options of one command.

    Args:
        kind: A documented dataclass; its fields are the flags.
        command: As the user writes it, for the help.
        arguments: The words after the command.
        default: Values of the flags that are not given.

    Raises:
        InputError: An unknown flag or a value that does not fit.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                kind,
                prog=f"fewstep {command}",
                args=arguments,
                default=tyro.MISSING_NONPROP if default is None else default,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(f"{_one_line(complaint.getvalue())} (fewstep {command} --help)") from stop


def _one_line(frame: str) -> str:
    """The gist of tyro's framed message: what it says before it explains the option at length."""
    rows = [row.strip("│╭╮╰╯|+ ") for row in frame.splitlines()[1:]]
    text = " ".join("|" if set(row) <= {"─", "-"} else row for row in rows if row)
    parts = [part.strip(" .") for part in text.split("|")]
    kept = [part for part in parts if part and not part.startswith(("For full", "Argument help"))]
    return re.sub(r"\s+", " ", "; ".join(kept))


def data_folder(option: Path | None) -> Path | None:
    """The folder of ``--data-dir``, or of the variable ``FEWSTEP_DATA``, or None.

    Raises:
        InputError: It is no folder.
    """
    named = str(option) if option else os.environ.get("FEWSTEP_DATA")
    if named and not Path(named).is_dir():
        raise InputError(
            f"the data folder {named} does not exist; give the folder that holds omniglot/ with "
            "--data-dir or the variable FEWSTEP_DATA"
        )
    return Path(named) if named else None


def check_counts(tasks: int, inner_steps: int | None) -> None:
    """See that so many tasks and inner steps can be judged; None stands for the run's own number.

    Raises:
        InputError: Names the one that is out of range.
    """
    for name, value, most in (("tasks", tasks, 10**7), ("inner_steps", inner_steps, 10_000)):
        if value is not None and not 1 <= value <= most:
            raise InputError(f"{name} is {value}; expected 1 or more, at most {most}")


def check_is_text(run_dir: Path) -> None:
    """See that checkpoints and TensorBoard's files can be there.

    Raises:
        InputError: The path has bytes that are no text.
    """
    try:
        str(run_dir.absolute()).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"run directory {run_dir} is not valid UTF-8, as its files need; choose another name"
        ) from error
