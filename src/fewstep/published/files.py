"""``results/*.json``: what fewstep measured by its own recipes, one file a run, norm and average.

The files stand at the root of the repository, and in an installed package beside its code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from fewstep.choices import Budget, Norm
from fewstep.config.budgets import BUDGETS, FAST
from fewstep.errors import InputError
from fewstep.files import read_json_object

Algorithm = Literal["maml", "fomaml", "maml++"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""Those that the table has rows of."""
NORMS: tuple[Norm, ...] = get_args(Norm)
"""In the order of the table."""


class Cell(NamedTuple):
    """A row of the table, by what its training is."""

    recipe: str
    algorithm: str
    budget: Budget


def cells() -> list[Cell]:
    """All rows of the table, measured or not."""
    return [Cell(r, a, b) for r in FAST for a in ALGORITHMS for b in BUDGETS]


@dataclass(frozen=True)
class ResultFile:
    """One file of results.

    Attributes:
        recipe: Its name.
        algorithm: Its name.
        budget: ``"fast"`` or ``"paper"``.
        models: 1, or how many checkpoints gave the logits of which the mean was taken.
        norm: The statistics of batch norm on the query sets.
        accuracy: By inner steps, a fraction.
        ci95: Half the 95% interval of each over the tasks.
        calibration_error: The expected one, of the last predictions; a fraction. None where a
            prediction was not finite.
        tasks: Test tasks.
        seed: Of the run.
        outer_steps: Of the whole training.
        kept_after: The outer steps after which the weights were kept.
        wall_seconds: Of the whole training with its validations, over all times that it went on.
        device: Where it was computed, for people.
        protocol: How it was measured, in words.
        command: Trains it again.
        settings: A digest of the settings that it was trained by, but for the seed: the command
            trains by the same ones as long as the row has this digest.
        commit: Of the repository; empty where it was not known.
        versions: Of what it was computed with.
    """

    recipe: str
    algorithm: str
    budget: Budget
    models: int
    norm: str
    accuracy: dict[str, float]
    ci95: dict[str, float]
    calibration_error: float | None
    tasks: int
    seed: int
    outer_steps: int
    kept_after: list[int]
    wall_seconds: float
    device: str
    protocol: str
    command: str
    settings: str
    commit: str
    versions: dict[str, str]

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), _KINDS[str(field.type).partition("[")[0]]
            if isinstance(value, bool) or not isinstance(value, kind):
                raise ValueError(f"{field.name} is {value!r}")
        if self.cell not in cells() or self.norm not in NORMS or self.models < 1:
            raise ValueError(f"there is no row of {self.cell}, {self.models} {self.norm}")
        if not self.accuracy or self.accuracy.keys() != self.ci95.keys():
            raise ValueError("accuracy and ci95 are not of the same inner steps")
        if not isfinite(self.wall_seconds):
            raise ValueError(f"wall_seconds is {self.wall_seconds!r}")
        for value in (*self.accuracy.values(), *self.ci95.values()):
            if not _is_fraction(value):
                raise ValueError(f"{value!r} is no fraction")
        if self.calibration_error is not None and not _is_fraction(self.calibration_error):
            raise ValueError(f"calibration_error is {self.calibration_error!r}, no fraction")
        if min(self.tasks, self.outer_steps, self.wall_seconds) < 0:
            raise ValueError("tasks, outer_steps or wall_seconds is less than 0")
        if not all(step.isdecimal() for step in self.accuracy):
            raise ValueError(f"{list(self.accuracy)} are not all inner steps")

    @property
    def cell(self) -> Cell:
        """The row that it belongs to."""
        return Cell(self.recipe, self.algorithm, self.budget)

    @property
    def figure(self) -> tuple[float, float]:
        """Accuracy after the last inner step, and half its interval."""
        last = max(self.accuracy, key=int)
        return self.accuracy[last], self.ci95[last]

    @property
    def file_name(self) -> str:
        """The name of its file: of a run, a norm, and one model or the average."""
        of_run = "-".join([*self.cell, f"seed{self.seed}"]).replace("++", "-plus-plus")
        return f"{of_run}-{self.norm}{'' if self.models == 1 else '-average'}.json"

    def as_json(self) -> dict[str, Any]:
        """The JSON object that the file holds."""
        return asdict(self)


def _is_fraction(value: Any) -> bool:
    number = isinstance(value, float | int) and not isinstance(value, bool)
    return number and isfinite(value) and 0 <= value <= 1


_KINDS: dict[str, Any] = {
    "Budget": str,
    "str": str,
    "int": int,
    "float": (int, float),
    "float | None": (int, float, type(None)),
    "dict": dict,
    "list": list,
}


def results_folder() -> Path:
    """The folder of the results: of the package, or else of the checkout that it stands in.

    Raises:
        InputError: There is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "results", package.parents[1] / "results"):
        if folder.is_dir():
            return folder
    raise InputError(
        f"{package} has no folder of results; install fewstep from its wheel or a whole checkout"
    )


def read_results(folder: Path) -> list[ResultFile]:
    """All results of a folder, in the order of their names.

    Raises:
        InputError: A file is damaged.
    """
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def of_cell(cell: Cell, every: Iterable[ResultFile]) -> list[ResultFile]:
    """The results of a row, by seed."""
    return sorted((one for one in every if one.cell == cell), key=lambda one: one.seed)


def _read(path: Path) -> ResultFile:
    remedy = "restore it, or remove it and write it again with: python -m scripts.results RUN_DIR"
    try:
        told = read_json_object(path, remedy)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}); {remedy}") from error
    try:
        found = ResultFile(**told)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} holds no result of fewstep ({error}); {remedy}") from error
    if path.name != found.file_name:
        raise InputError(f"{path} holds what belongs in {found.file_name}; rename or remove it")
    return found
