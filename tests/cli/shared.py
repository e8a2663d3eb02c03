"""Short runs as flags of the command line, and how a refusal is read."""

from fewstep.cli import main

SMALL = [
    *("train", "sinusoid", "--steps", "4", "--val-every", "2", "--val-tasks", "4"),
    *("--test-tasks", "6", "--meta-batch", "2"),
]


SHORT = [
    *("train", "sinusoid", "--steps", "2", "--val-tasks", "2", "--test-tasks", "3"),
    *("--meta-batch", "2", "--test-inner-steps", "1"),
]


TINY = [
    *("--steps", "3", "--val-every", "3", "--val-tasks", "2", "--test-tasks", "3"),
    *("--meta-batch", "2", "--filters", "4", "--q-query", "2", "--test-inner-steps", "3"),
]


def refused(arguments, capsys):
    """The one line of a refusal."""
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return next(line for line in err.splitlines() if line.startswith("fewstep: error: "))
