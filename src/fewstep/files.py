"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fewstep.errors import InputError
from fewstep.locks import NoLocksError, hold


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
        _remove_parts_of_the_dead(path)
        with _held(temporary):
            write(temporary)
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(part: Path) -> Iterator[None]:
    """Hold a lock that tells others that the writer of ``part`` is alive."""
    with contextlib.ExitStack() as stack:
        # Windows moves no file that is open.
        if sys.platform != "win32":
            with contextlib.suppress(NoLocksError):
                stack.enter_context(hold(part))
        yield


def _remove_parts_of_the_dead(path: Path) -> None:
    """Remove the temporary files of this path whose writers were killed."""
    with contextlib.suppress(OSError):
        for part in list(path.parent.iterdir()):
            if part.name.startswith(f".{path.name}.") and part.suffix == ".part":
                with hold(part) as lock:
                    if lock is not None:
                        part.unlink()


def cannot_write(path: Path, error: OSError) -> InputError:
    """The one line for a place that does not take what is written to it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"no disk space left for {path}; free some or choose another folder")
    reason = error.strerror or str(error)
    return InputError(f"cannot write {path} ({reason}); choose a folder that you may write to")
