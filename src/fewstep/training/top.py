"""The best checkpoints of a run by validation, of which the final test takes the average as well.

MAML++ reports the mean of the logits of the five best (Antoniou, Edwards and Storkey 2019). Each is
a file of the weights alone, in a folder of the run directory. Files that are not among the best any
more are removed after the next checkpoint: until then a run may go on from one that names them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fewstep.errors import InputError
from fewstep.files import cannot_write
from fewstep.functional.swapped import Params
from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress

TOP = 5
"""Checkpoints that a run with a budget keeps."""
Top = list[list[float]]
"""Outer step and validation score of each, the best first."""


def with_validation(top: Top, step: int, score: float, many: int, *, larger_is_better: bool) -> Top:
    """The best ones with one more validation; of equal ones the earlier is better.

    >>> with_validation([[2, 0.9], [4, 0.8]], 6, 0.85, 2, larger_is_better=True)
    [[2, 0.9], [6, 0.85]]
    """
    sign = -1 if larger_is_better else 1
    every = [one for one in top if one[0] != step] + [[step, score]]
    return sorted(every, key=lambda one: (sign * one[1], one[0]))[:many]


def save(folder: Path, tensors: Params, progress: Progress) -> None:
    """Write the weights after an outer step, beside those that are there."""
    try:
        # Not its parents: a run directory that was removed must not come back.
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    checkpoint.save(_file(folder, progress.step), tensors, progress)


def tidy(folder: Path, top: Top) -> None:
    """Remove what is not among the best any more."""
    kept = {_file(folder, step).name for step, _ in top}
    with contextlib.suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            if path.suffix == ".safetensors" and path.name not in kept:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()


def load(folder: Path, top: Sequence[Sequence[float]], digest: str) -> Iterator[Params]:
    """The weights of each, in order.

    Raises:
        InputError: One is missing, damaged, or of a run of other settings.
    """
    for step, _ in top:
        if not _file(folder, step).exists():
            raise InputError(
                f"{_file(folder, step)} is missing; restore it or train in a new run directory"
            )
        tensors, progress = checkpoint.load(_file(folder, step))
        if (progress.step, progress.settings) != (step, digest):
            raise InputError(
                f"{_file(folder, step)} is of another run or outer step; restore it or train in a "
                "new run directory"
            )
        yield tensors


def _file(folder: Path, step: float) -> Path:
    return folder / f"{step:.0f}.safetensors"
