"""``fewstep adapt RUN --support DIR|FILE``: learn a task of one's own from a few examples."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import InnerSteps, parse
from fewstep.errors import InputError

if TYPE_CHECKING:
    from fewstep.cli.places import Places

_FOLDER = arg(metavar="DIR", help_behavior_hint="")
_EXAMPLES = arg(metavar="DIR|FILE", help_behavior_hint="")
Told = tuple[list[str], dict[str, Any], Iterable[str]]
"""Notes, the JSON values, and lines of text."""


@dataclass(frozen=True)
class AdaptOptions:
    """Learn a task of your own from a few examples, and tell how well that works.

    Of a run on pictures, the support folder holds a folder of pictures for each class, any number
    of classes, with one picture or more in each. Of a run on a table, the support file is a CSV or
    Parquet file with the columns of that table, and holds rows of one new task. Beside the accuracy
    or the error stands what simpler ways make of the same examples.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """A run directory of fewstep train; with --add the folder of an adapted model."""
    support: Annotated[Path, _EXAMPLES]
    """The examples to learn from: pictures, a folder a class, as in DIR/owl/1.jpg; or a file of
    rows with their target."""
    query: Annotated[Path | None, _EXAMPLES] = None
    """Examples to predict: pictures in folders of classes, for the accuracy, or all in one folder;
    or a file of rows, with the target for the error, or without it."""
    out: Annotated[Path | None, _FOLDER] = None
    """Where to save the adapted model for fewstep predict: a new or empty folder, or an
    earlier adapted model's, which is replaced."""
    steps: InnerSteps = None
    """Inner steps of the adaptation; those of the run's own test unless given."""
    add: bool = False
    """Teach an adapted model further classes, or further examples of its own ones."""
    json: bool = False
    """Print one JSON object and nothing else."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, ..."""


def main(arguments: list[str]) -> int:
    """Adapt, save, and print."""
    options = parse(AdaptOptions, "adapt", arguments)
    if options.add and options.device != "cpu":
        raise InputError("--add computes on the CPU; leave --device out")

    from fewstep.cli.places import Places
    from fewstep.training.adaptable import takes_tables

    console, errors = plain_console(), error_console()
    places = Places(options.run, options.support, options.query, options.out)
    adapt = _rows if takes_tables(options.run, add=options.add) else _pictures
    notes, values, lines = adapt(places, options, console.width)
    for note in notes:
        errors.print(note, soft_wrap=True)
    if options.json:
        print(json.dumps(values, allow_nan=False))
        return 0
    for line in lines:
        console.print(line, soft_wrap=True)
    return 0


def _pictures(places: "Places", options: AdaptOptions, width: int) -> Told:
    from fewstep.cli.adapting import adapt_to_pictures
    from fewstep.report.adaptation import as_json, as_lines

    done = adapt_to_pictures(places, options.steps, add=options.add, device=options.device)
    lines = as_lines(done, options.run, options.query, options.out, width)
    return done.notes, as_json(done, options.run, options.out), lines


def _rows(places: "Places", options: AdaptOptions, width: int) -> Told:
    from fewstep.cli.adapting_rows import adapt_to_rows
    from fewstep.report.rows_adaptation import as_json, as_lines

    done = adapt_to_rows(places, options.steps, add=options.add, device=options.device)
    lines = as_lines(done, options.run, options.out, width)
    return done.notes, as_json(done, options.run, options.out), lines
