"""Failures that a user can do something about, as an exit status and one line."""

from fewstep.cli.streams import OutputError
from fewstep.errors import InputError, first_line, is_out_of_memory, on_one_line
from fewstep.training.interrupt import Interrupted

WRONG_INPUT, OUTPUT_FAILED, INTERRUPTED, NOBODY_READS = 2, 74, 130, 141
"""74 is EX_IOERR of sysexits.h; the last two are 128 and a signal's number, as shells have it."""


def status_and_line(error: BaseException) -> tuple[int, str] | None:
    """The exit status and what to tell; None for what is a fault of the program.

    The line is empty where nobody reads on, as in ``fewstep recipes | head -3``.
    """
    match error:
        case BrokenPipeError():
            return NOBODY_READS, ""
        case KeyboardInterrupt():
            return INTERRUPTED, "stopped"
        case Interrupted():
            return INTERRUPTED, f"{error}; the same command goes on from there"
        case OutputError():
            return OUTPUT_FAILED, (
                f"error: cannot write to standard output ({error}); what a run directory holds is "
                "whole: print it elsewhere"
            )
        case InputError():
            told = str(error)
        case ModuleNotFoundError(name=str(name)) if not name.startswith("fewstep"):
            told = (
                f"{name.partition('.')[0]} is not installed, which fewstep needs; install fewstep "
                "anew, with its dependencies"
            )
        case OSError(filename=str(name), strerror=str(reason)):
            told = f"cannot use {name} ({reason}); see that it is there and may be used"
        case OSError():
            told = f"{first_line(error)}; see that it is there and may be used"
        case UnicodeDecodeError() | RecursionError():
            told = (
                f"a file holds what fewstep never wrote ({first_line(error)}); restore it or use "
                "another run directory"
            )
        case MemoryError() | RuntimeError() if is_out_of_memory(error):
            told = (
                f"out of memory ({first_line(error) or 'no more'}); choose a smaller network, "
                "fewer tasks at once (--meta-batch, --execution loop) or --memory flat"
            )
        case _:
            return None
    return WRONG_INPUT, f"error: {on_one_line(told)}"
