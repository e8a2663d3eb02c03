"""Standard output and standard error while a command runs.

What a command prints is its result: where standard output does not take it, the command fails. What
it tells on standard error is how far it is: where that goes nowhere, the command goes on.
"""

import codecs
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TextIO, cast

from fewstep.runtime.launched import rank

_SPELLED = {"±": "+-", "…": "..."}
_IN_ASCII = "fewstep.in_ascii"
_Guard = Callable[[], contextlib.AbstractContextManager[object]]


class OutputError(Exception):
    """Standard output does not take what is printed. The message is the system's reason."""


@contextlib.contextmanager
def guarded_streams() -> Iterator[TextIO]:
    """Inside, `sys.stdout` and `sys.stderr` take every character and fail in one known way.

    A closed stream becomes one that cannot be written. What the encoding lacks is spelled out.
    Another rank than the first prints nothing but to the stream that is given, of errors.
    """
    _occupy_closed()
    stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - it is never ours to close
    stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    ignored = partial(contextlib.suppress, OSError)
    out = cast(TextIO, _Stream(stdout, _as_output_error))
    errors = cast(TextIO, _Stream(stderr, ignored))
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w")) if rank() else None
        stack.enter_context(contextlib.redirect_stdout(nowhere or out))
        stack.enter_context(contextlib.redirect_stderr(nowhere or errors))
        yield errors


def encodable(text: str, encoding: str | None) -> str:
    """The text with what the encoding lacks spelled out, such as +- for a plus-minus sign."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, _IN_ASCII).decode(encoding)


def discard_output() -> None:
    """Send what is left in standard output nowhere, or Python would complain of it at its end."""
    # Not every stream has a file beneath it.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Stream:
    """A text stream that takes every character and writes within a guard."""

    def __init__(self, stream: TextIO, guard: _Guard) -> None:
        self._stream, self._guard = stream, guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._guard():
            self._stream.write(encodable(text, self._stream.encoding))
        return len(text)

    def flush(self) -> None:
        with self._guard():
            self._stream.flush()


@contextlib.contextmanager
def _as_output_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.strerror or str(error)) from error


def _occupy_closed() -> None:
    """Give the numbers of closed standard streams away, or the next file opened would get them.

    Then what is printed would end in that file. Open for reading, since it is not to be written.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        first = error.object[error.start]
        if first in _SPELLED:
            return _SPELLED[first], error.start + 1
    return codecs.backslashreplace_errors(error)


codecs.register_error(_IN_ASCII, _spell)
