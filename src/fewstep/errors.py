"""The one exception that means: the user can mend this."""


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


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    return str(error).split("\n")[0]
