"""Locks on files, which the operating system frees however their owner ends."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


class NoLocksError(OSError):
    """There are no locks on this system, or on this file system."""


@contextmanager
def hold(path: Path) -> Iterator[int | None]:
    """Hold the lock on a file, which is made where it is missing and stays.

    Yields:
        The file's descriptor, or None where another process or thread holds the lock.

    Raises:
        NoLocksError: There are none here.
        OSError: The file cannot be made or opened.
    """
    descriptor = _acquire(path)
    if descriptor is None:
        yield None
        return
    _held.add(descriptor)
    try:
        yield descriptor
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _acquire(path: Path) -> int | None:
    while True:
        with ExitStack() as stack:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            if not _lock(descriptor):
                return None
            # Its owner may have removed it meanwhile: the file of that name is then another one.
            if is_at(descriptor, path):
                stack.pop_all()
                return descriptor


def _lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        raise NoLocksError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoLocksError(*error.args) from error
        raise
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the file that stands at a path is the one that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


_held: set[int] = set()


def _leave_to_parent() -> None:
    # A worker process that outlives a killed run would hold its locks.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
