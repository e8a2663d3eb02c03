"""``fewstep adapt RUN --support DIR``: learn classes of one's own from a few pictures of each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import InnerSteps, parse
from fewstep.errors import InputError

_FOLDER = arg(metavar="DIR", help_behavior_hint="")


@dataclass(frozen=True)
class AdaptOptions:
    """Learn classes of your own from a few pictures of each, and tell how well that works.

    The support folder holds a folder of pictures for each class, any number of classes, with one
    picture or more in each. Beside the accuracy stands what simpler ways make of the same pictures.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    """A run directory of fewstep train on pictures; with --add the folder of an adapted model."""
    support: Annotated[Path, _FOLDER]
    """The pictures to learn from, a folder a class: DIR/owl/1.jpg."""
    query: Annotated[Path | None, _FOLDER] = None
    """Pictures to predict: in folders of classes, for the accuracy, or all in one folder."""
    out: Annotated[Path | None, _FOLDER] = None
    """Where to save the adapted model for fewstep predict: a new or empty folder, or an
    earlier adapted model's, which is replaced."""
    steps: InnerSteps = None
    """Inner steps of the adaptation; those of the run's own test unless given."""
    add: bool = False
    """Teach an adapted model further classes, or further pictures of its own ones."""
    json: bool = False
    """Print one JSON object and nothing else."""
    device: str = "cpu"
    """Where to compute: cpu, cuda, ..."""


def main(arguments: list[str]) -> int:
    """Adapt, save, and print."""
    options = parse(AdaptOptions, "adapt", arguments)
    if options.add and options.device != "cpu":
        raise InputError("--add computes on the CPU; leave --device out")

    from fewstep.training.adaptable import takes_tables

    console, errors = plain_console(), error_console()
    places = Places(options.run, options.support, options.query, options.out)
    adapt = _rows if takes_tables(options.run) else _pictures
    told = adapt(places, options, console.width)
    for note in told.notes:
        errors.print(note, soft_wrap=True)
    if options.json:
        print(json.dumps(told.values(), allow_nan=False))
        return 0
    for line in told.lines():
        console.print(line, soft_wrap=True)
    return 0


def _pictures(places: Places, options: AdaptOptions, width: int) -> _Told:
    from fewstep.cli.adapting import adapt_to_pictures
    from fewstep.report.adaptation import as_json, as_lines

    done = adapt_to_pictures(places, options.steps, add=options.add, device=options.device)
    run, query, out = options.run, options.query, options.out
    return _Told(
        done.notes,
        lambda: as_json(done, run, out),
        lambda: as_lines(done, run, query, out, width),
    )


def _rows(places: Places, options: AdaptOptions, width: int) -> _Told:
    from fewstep.cli.adapting_rows import adapt_to_rows
    from fewstep.report.rows_adaptation import as_json, as_lines

    done = adapt_to_rows(places, options.steps, add=options.add, device=options.device)
    run, out = options.run, options.out
    return _Told(
        done.notes, lambda: as_json(done, run, out), lambda: as_lines(done, run, out, width)
    )
