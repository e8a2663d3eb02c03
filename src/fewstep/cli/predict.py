"""``fewstep predict ADAPTED FILE|DIR|- ...``: predict with an adapted model."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from fewstep.cli.console import error_console, plain_console
from fewstep.cli.options import parse
from fewstep.config.limits import Count
from fewstep.errors import InputError
from fewstep.files import check_may_replace, check_writable, write_out

_OUTPUT = Path("-")
_PICTURES = arg(metavar="FILE|DIR|-", help_behavior_hint="")
_PATH = arg(metavar="FILE", help_behavior_hint="")
_LEAST = arg(metavar="FLOAT|auto", help_behavior_hint="")


@dataclass(frozen=True)
class PredictOptions:
    """Predict with an adapted model, which fewstep adapt --out has saved.

    It labels pictures, or predicts the rows of a table. A picture that cannot be read does not stop
    the others: it is named at the end, and the exit status is 2. Rows are predicted all, or none.
    """

    adapted: Annotated[Positional[Path], arg(metavar="ADAPTED")]
    """The folder of an adapted model."""
    pictures: Annotated[Positional[tuple[str, ...]], _PICTURES] = ()
    """Pictures, folders (all pictures in them), or - for paths on standard input, one a line; or
    one CSV or Parquet file with the columns of the table, or - for CSV on standard input."""
    top: Count = 1
    """So many labels of each example, the likeliest first."""
    csv: Annotated[Path | None, _PATH] = None
    """Write the predictions as a CSV file, too; of rows, behind their own columns. With - they go
    to standard output, and nothing else does."""
    threshold: Annotated[str | None, _LEAST] = None
    """Answer "none of these" below this probability; auto: as chosen when the run was tested."""
    json: bool = False
    """Print one JSON object and nothing else."""


def main(arguments: list[str]) -> int:
    """Predict, write, and print."""
    options = parse(PredictOptions, "predict", arguments)
    if not options.pictures:
        raise InputError(
            "nothing to predict is given; give pictures or folders of such, or - for their paths "
            "on standard input, or a file of rows, or - for CSV on standard input"
        )
    if options.csv is not None:
        _check_csv(options.csv, options.pictures)
    if options.csv == _OUTPUT and options.json:
        raise InputError("--csv - and --json both take standard output; leave one of them out")

    from fewstep.predictors.adapted_dir import takes_tables

    return (_rows if takes_tables(options.adapted) else _pictures)(options)


def _pictures(options: PredictOptions) -> int:
    from fewstep.cli.predicting import load_for_pictures, predict_files, threshold_of
    from fewstep.report.predictions import as_csv, prediction_lines

    console, errors = plain_console(), error_console()
    adapted = load_for_pictures(options.adapted)
    least = threshold_of(options.threshold, adapted, options.adapted)
    predictions, problems = predict_files(adapted, options.pictures, options.top, least)
    if options.csv is not None:
        _write_csv(options.csv, as_csv(predictions))
    left_out = [{"file": problem.path, "reason": problem.reason} for problem in problems]
    if options.json:
        told = {
            "predictions": [one.as_json() for one in predictions],
            "accuracy": None,
            "classes": list(adapted.classes),
            "threshold": least if options.threshold else None,
            "left_out": left_out,
        }
        print(json.dumps(told, allow_nan=False))
    elif options.csv != _OUTPUT:
        for line in prediction_lines(predictions, console.width) if predictions else ():
            console.print(line, soft_wrap=True)
    for problem in problems:
        errors.print(f"left out: {problem}", soft_wrap=True)
    if problems:
        of = len(problems) + len(predictions)
        raise InputError(
            f"{len(problems)} of {of} could not be predicted, as listed above"
            + ("; the others were" if predictions else "; expected pictures")
        )
    return 0


def _rows(options: PredictOptions) -> int:
    from fewstep.cli.predicting_rows import predict_rows

    console, errors = plain_console(), error_console()
    done = predict_rows(options.adapted, options.pictures, options.top, options.threshold)
    if options.csv is not None:
        _write_csv(options.csv, done.as_csv())
    for note in done.notes:
        errors.print(note, soft_wrap=True)
    if options.json:
        print(json.dumps(done.as_json(), allow_nan=False))
        return 0
    for line in done.lines(console.width) if options.csv != _OUTPUT else ():
        console.print(line, soft_wrap=True)
    return 0


def _write_csv(path: Path, content: bytes) -> None:
    if path == _OUTPUT:
        # As bytes: names of files need not be text.
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
    else:
        write_out(path, content)


def _check_csv(path: Path, given: tuple[str, ...]) -> None:
    if path == _OUTPUT:
        return
    target = check_may_replace(path)
    if any(target == Path(os.path.realpath(name)) for name in given if name != "-"):
        raise InputError(
            f"--csv {path} is the file that is predicted, which it would replace; give another name"
        )
    check_writable(path)
