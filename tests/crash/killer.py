"""Kills the process it is in at one of its file operations."""

import builtins
import functools
import io
import os
import signal

WRITING = set("wax+")


class Killer:
    """Counts the file operations below a folder, and kills the process at one of them.

    Args:
        folder: The run directory.
        at: The number of the operation to die at, from 1 on; 0 for none. In a write, one half of
            the bytes has been written by then.
        told: Where to write how many operations there were, at each of them; or None.
    """

    def __init__(self, folder, at, told=None):
        self.folder, self.at, self.told, self.done = os.fspath(folder), at, told, 0

    def __call__(self):
        """Begin to count."""
        for module, name in ((os, "replace"), (os, "unlink"), (os, "mkdir"), (os, "open")):
            setattr(module, name, self._counted(getattr(module, name)))
        fsync, opened = os.fsync, io.open
        os.fsync = lambda descriptor: (self.count(), fsync(descriptor))[1]
        io.open = builtins.open = functools.partial(self._open, opened)

    def count(self):
        """One more operation; the last one of all, perhaps."""
        self.done += 1
        if self.told:
            with Killer.real_open(self.told, "w") as file:
                file.write(str(self.done))
        if self.done == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    real_open = staticmethod(io.open)

    def _counted(self, operation):
        def counted(path, *arguments, **named):
            if self._is_below(path):
                self.count()
            return operation(path, *arguments, **named)

        return counted

    def _open(self, opened, file, mode="r", *arguments, **named):
        if not (WRITING & set(mode) and self._is_below(file)):
            return opened(file, mode, *arguments, **named)
        self.count()
        return _Written(opened(file, mode, *arguments, **named), self)

    def _is_below(self, path):
        return not isinstance(path, int) and os.fspath(path).startswith(self.folder)


class _Written:
    """A file whose writes are counted."""

    def __init__(self, file, killer):
        self._file, self._killer = file, killer

    def write(self, content):
        if self._killer.done + 1 == self._killer.at:
            self._file.write(content[: len(content) // 2])
            self._file.flush()
        self._killer.count()
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)
