"""Errors that a user can mend, and that only another way of execution can."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class InputError(ValueError):
    """Bad input. The message says what was given, what was expected and what to do, in one line.

    The command line prints the message and exits with status 2; it never shows a traceback for it.

    >>> import fewstep, torch
    >>> try:
    ...     fewstep.MAML(torch.nn.Linear(4, 3), inner_lr=-1)
    ... except fewstep.InputError as error:
    ...     print(error)
    inner_lr is -1; expected 0 or more
    """


class UnsuitableError(InputError):
    """A way of execution that the model, the loss or the inner optimiser does not allow."""


def on_one_line(text: str) -> str:
    r"""Text with its control characters spelled out: a name of a file may have any of them.

    >>> print(on_one_line("owl\x1b[31m\n.png"))
    owl\x1b[31m\n.png
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def first_line(error: BaseException) -> str:
    """First line of an exception's message; another library may explain itself at length."""
    return str(error).split("\n")[0]
