"""The terminal as every command writes to it."""

import logging
import os
from typing import Any

from rich.console import Console
from rich.text import Text

from fewstep.cli.streams import encodable
from fewstep.errors import on_one_line


class _Console(Console):
    """Spells control characters out, measures as the stream spells; leaves a closed pipe alone."""

    def render_str(self, text: str, **how: Any) -> Text:
        # Escape sequences in a name would be the terminal's to follow.
        return super().render_str(encodable(on_one_line(text), self.encoding), **how)

    def on_broken_pipe(self) -> None:
        # Called where the error is handled. Rich's own would end the process with status 1.
        raise


def plain_console(*, stderr: bool = False) -> Console:
    """A console that takes a user's paths and names for what they are, and colours no figures."""
    environment = dict(os.environ)
    columns = environment.get("COLUMNS", "")
    # As the standard library reads it: 0 says that the width is not known.
    if columns.isdecimal() and int(columns) == 0:
        del environment["COLUMNS"]
    return _Console(stderr=stderr, markup=False, highlight=False, _environ=environment)


def error_console() -> Console:
    """The same on standard error, where what the library has to tell appears from now on, too."""
    console = plain_console(stderr=True)
    logger = logging.getLogger("fewstep")
    logger.handlers = [_Told(console)]
    logger.setLevel(logging.INFO)
    return console


class _Told(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Above a progress bar, where there is one."""
        self._console.print(record.getMessage(), soft_wrap=True)
