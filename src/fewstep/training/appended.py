"""A file that grows while a run goes on, and that is noticed when it is gone."""

from __future__ import annotations

import os
from pathlib import Path

from fewstep.files import cannot_write


class Appended:
    """Bytes appended to a file, whole pieces only.

    Args:
        path: Made where it is missing.

    Raises:
        InputError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[bytes] = []
        try:
            path.parent.mkdir(exist_ok=True)
            # Unbuffered: what could not be written must not be tried again when it is closed.
            self._file = path.open("ab", buffering=0)
            self._whole = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise cannot_write(path, error) from error

    def write(self, piece: bytes) -> None:
        """Add a piece, which the next `flush` writes."""
        self._waiting.append(piece)

    def flush(self) -> None:
        """Let a reader see all that was added.

        Raises:
            InputError: It cannot be written, or the file is no longer where it was. What was
                flushed before stays whole.
        """
        rest = memoryview(b"".join(self._waiting))
        self._waiting.clear()
        try:
            if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                raise FileExistsError(0, "another file stands there now")
            while rest:
                rest = rest[self._file.write(rest) :]
            self._whole = self._file.tell()
        except OSError as error:
            self._undo()
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Write what is left, and close the file in any case.

        Raises:
            InputError: As `flush`.
        """
        if self._file.closed:
            return
        with self._file:
            self.flush()

    def _undo(self) -> None:
        try:
            self._file.truncate(self._whole)
        except OSError:
            # A line that was cut short is passed over when it is read.
            return
