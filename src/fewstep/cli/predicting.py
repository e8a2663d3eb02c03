"""Pictures from files, folders and standard input, predicted one part after another."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from fewstep.data.folder_listing import Problem
from fewstep.data.own_pictures import Listed, files_below, read_pictures
from fewstep.data.preparation import Preparation
from fewstep.errors import InputError
from fewstep.predictors.adapted_dir import is_adapted
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.loading import load_adapted
from fewstep.report.predictions import Prediction, predictions_of

AT_ONCE = 256  # pictures in memory


def load_for_pictures(folder: Path) -> AdaptedClassifier:
    """An adapted model that takes pictures.

    Raises:
        InputError: It is another one, or none.
    """
    if not is_adapted(folder) and (folder / "config.json").exists():
        raise InputError(
            f"{folder} is a run directory, which knows nothing of yours yet; first adapt it: "
            f"fewstep adapt {folder} --support DIR|FILE --out DIR"
        )
    adapted = load_adapted(folder)
    if not isinstance(adapted, AdaptedClassifier) or not isinstance(
        adapted.preparation, Preparation
    ):
        raise InputError(
            f"{folder} is an adapted model that takes no pictures; use it in Python, as in "
            f'fewstep.load("{folder}").predict(x)'
        )
    return adapted


def threshold_of(given: str | None, adapted: AdaptedClassifier, folder: Path) -> float:
    """The least probability of an answer; 0 for an answer in any case."""
    if given is None:
        return 0.0
    if given == "auto":
        if adapted.threshold is None and not isinstance(adapted.preparation, Preparation):
            raise InputError(
                f"{folder} has no threshold of its own: every row is of a class that is known, so "
                "none could be chosen; give a number, as in --threshold 0.5, or leave it out"
            )
        if adapted.threshold is None:
            raise InputError(
                f"{folder} has no threshold, as its run was not tested with one, which needs more "
                "validation classes than ways; give a number, as in --threshold 0.5"
            )
        return adapted.threshold
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"threshold is {given!r}; expected auto or a probability from 0 to 1")
    return value


def predict_files(
    adapted: AdaptedClassifier, given: Iterable[str], top: int, threshold: float
) -> tuple[list[Prediction], list[Problem]]:
    """The predictions for all pictures that can be read, and the reasons for the others.

    Raises:
        InputError: Not a single file is named.
    """
    problems: list[Problem] = []
    files = list(_files(_paths(given), problems))
    if not files and not problems:
        raise InputError("standard input names no picture; expected a path a line")
    assert isinstance(adapted.preparation, Preparation)
    predictions: list[Prediction] = []
    with tqdm(total=len(files), unit=" pictures", disable=None, leave=False) as bar:
        for start in range(0, len(files), AT_ONCE):
            some = files[start : start + AT_ONCE]
            read = read_pictures(Listed(some, None, []), adapted.preparation)
            problems += read.problems
            predictions += predictions_of(adapted, read, top, threshold)
            bar.update(len(some))
    return predictions, problems


def _paths(given: Iterable[str]) -> Iterator[str]:
    for name in given:
        if name == "-":
            # Names of files are bytes, and need not be text.
            lines = (os.fsdecode(line).rstrip("\r\n") for line in sys.stdin.buffer)
            yield from filter(None, lines)
        else:
            yield name


def _files(paths: Iterable[str], problems: list[Problem]) -> Iterator[Path]:
    """The files themselves, in the place of folders the pictures in them."""
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        try:
            listed = files_below(path)
        except InputError as error:
            problems.append(Problem(str(path), str(error)))
            continue
        problems += listed.problems
        yield from listed.files
