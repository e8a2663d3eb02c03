"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from fewstep.errors import InputError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place in one move.

    Args:
        path: The file to make or replace; its folder is made where it is missing.
        write: Writes everything to the path that it is given.

    Raises:
        InputError: The disk is full or the place cannot be written. What stood at ``path`` stays.
    """
    # Not by tempfile, which keeps its files from all other users.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> InputError:
    """The one line for a place that does not take what is written to it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"no disk space left for {path}; free some or choose another folder")
    reason = error.strerror or str(error)
    return InputError(f"cannot write {path} ({reason}); choose a folder that you may write to")
