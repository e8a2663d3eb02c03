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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on any device; PyTorch has no type of its own for that on a CPU."""
    told = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(sign in told for sign in signs)


def let_out_of_memory_through(error: BaseException) -> None:
    """Raise an error again where memory ran out, which is no fault of what was given."""
    if is_out_of_memory(error):
        raise error


def first_line(error: BaseException) -> str:
    """First line of an exception's message; another library may explain itself at length."""
    return str(error).split("\n")[0]
