"""A run directory belongs to one process at a time."""

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

from fewstep.errors import InputError
from fewstep.files import cannot_write
from fewstep.runtime.locks import NoLocksError, hold, is_at

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run directory; the end of this one frees it."""
    path, lock = folder / NAME, None
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():
                raise InputError(
                    f"{path} is no regular file, as it has to be; remove it or choose another "
                    "run directory"
                )
            lock = stack.enter_context(hold(path))
            if lock is None:
                raise InputError(
                    f"{folder} is in use by {_owner(path)}; wait until that has ended, or choose "
                    "another run directory"
                )
            os.ftruncate(lock, 0)
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except FileExistsError as error:
            raise no_run(folder) from error
        except NoLocksError:
            logging.getLogger("fewstep").info(
                "%s cannot be locked: see that no other process trains there", folder
            )
        except OSError as error:
            raise cannot_write(folder, error) from error
        # Removed while it is still held: nobody else can have taken it yet.
        stack.callback(_remove, path, lock)
        yield


def no_run(folder: Path) -> InputError:
    """The one line for a place that holds something else."""
    return InputError(f"{folder} exists and is no run directory; choose another run directory")


def trainer(folder: Path) -> str | None:
    """Who trains in a run directory at this moment; None where nobody does, or nothing tells."""
    path = folder / NAME
    # It may stay of a process that was killed: only who holds it is at work.
    with contextlib.suppress(OSError):
        if path.is_file():
            with hold(path) as lock:
                return _owner(path) if lock is None else None
    return None


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError):
        told = path.read_text(encoding="utf-8", errors="replace").strip()
        # Of a file that is damaged, or not written yet, nothing is told.
        if re.fullmatch(r"process \d+ on [\w.-]+", told):
            return told
    return "another process"


def _remove(path: Path, lock: int | None) -> None:
    with contextlib.suppress(OSError):
        # Who removed the directory may have begun again there: then it is another's.
        if lock is None or is_at(lock, path):
            path.unlink()
