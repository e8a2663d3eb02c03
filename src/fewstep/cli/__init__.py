"""The command line: one file a command (internal)."""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from fewstep import __version__
from fewstep.cli.failures import NOBODY_READS, OUTPUT_FAILED, status_and_line
from fewstep.cli.launched import as_rank, is_to_tell
from fewstep.cli.streams import discard_output, guarded_streams
from fewstep.errors import InputError
from fewstep.runtime.launched import launched
from fewstep.runtime.startup import keep_memory, wait_briefly
from fewstep.training.interrupt import quiet_end

COMMANDS = {
    "recipes": "list the recipes: data, protocol, expected result",
    "train": "meta-train a recipe, a folder of pictures or a table; again, it goes on",
    "evaluate": "accuracy (or error) of a run after 0, 1, ... inner steps",
    "compare": "adaptation curves of several runs side by side: table and picture",
    "report": "runs as one HTML page: results, curves, tasks, how to repeat them",
    "adapt": "learn a task of your own from a few pictures or rows of a table",
    "predict": "predict pictures or rows of a table with an adapted model",
    "export": "write a model, or adaptation itself, for runtimes without PyTorch",
    "reproduce": "run a row of the results table, and hold what comes out against it",
    "demo": "draw, or drop in photos, and watch a run adapt, in a browser",
}

_LISTED = "\n".join(f"  {name:10}{text}" for name, text in COMMANDS.items())
_HELP = f"""usage: fewstep COMMAND [options]

Model-Agnostic Meta-Learning: learn an initialisation that adapts to a new task
from a few examples in a few gradient steps.

commands:
{_LISTED}

fewstep help COMMAND shows the options of a command; fewstep --version the version.
Start with: fewstep train glyphs-5way-1shot
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, given as on the command line without the program's name.

    Returns the exit status: 0; 1 where a result is lower than that of the table; 2 for what the
    user can mend; 74 where standard output cannot be written; 130 where the user stopped it; 141
    where nobody reads on.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with guarded_streams() as tell:
        try:
            # Who hands in the words has something to do when the command has ended.
            with quiet_end(for_good=arguments is None):
                try:
                    return _run(given)
                finally:
                    # After --help, too, which ends by SystemExit.
                    sys.stdout.flush()
        except BaseException as error:
            failure = status_and_line(error)
            if failure is None:
                raise
            status, line = failure
            if status in (OUTPUT_FAILED, NOBODY_READS):
                discard_output()
            if line and is_to_tell():
                print(f"fewstep: {line}", file=tell)
            return status


def _run(given: list[str]) -> int:
    if given[:1] == ["help"]:
        given = [*given[1:2], "--help"]
    if not given or given[0] in ("-h", "--help"):
        print(_HELP, end="")
        return 0
    if given[0] == "--version":
        print(f"fewstep {__version__}")
        return 0
    command, *arguments = given
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(COMMANDS)}"
        raise InputError(f"unknown command {command!r}; {hint} (fewstep --help)")
    # Before PyTorch is imported: both are of no use after that.
    keep_memory()
    wait_briefly()
    # Each command loads what it needs and no more: PyTorch takes seconds.
    run = import_module(f"fewstep.cli.{command}").main
    return int(run(arguments) if not launched() else as_rank(command, run, arguments))
