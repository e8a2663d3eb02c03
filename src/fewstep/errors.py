"""The one exception that means: the user can mend this."""


class InputError(ValueError):
    """Bad input. The message says what was given, what was expected and what to do, in one line.

    The command line prints the message and exits with status 2; it never shows a traceback for it.
    """


def first_line(error: BaseException) -> str:
    """What another library says, without what it explains at length."""
    return str(error).split("\n")[0]
