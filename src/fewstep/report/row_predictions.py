"""Predictions for rows of a table, as JSON values, as text and as columns of a CSV file."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fewstep.evaluation.numbers import in_percent
from fewstep.predictors.classifier import Label
from fewstep.report.columns import in_columns

MOST_SHOWN = 20
"""Rows of text; the JSON and the CSV file have all."""
NONE = "none of these"


@dataclass(frozen=True, eq=False)
class NumberRows:
    """Predicted numbers, in the unit of the target.

    Attributes:
        target: Name of the column that is predicted.
        values: ``[rows]``.
        scale: Standard deviation of the target in training, which says how many digits count.
        half_width: Of the 95% interval; None where it is not known.
        truth: The targets that are known, by the number of their row.
        names: Of the rows for people, such as their numbers in a file; from 0 on unless given.
    """

    target: str
    values: npt.NDArray[np.float64]
    scale: float = 1.0
    half_width: float | None = None
    truth: Mapping[int, float] = field(default_factory=dict)
    names: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def predicted(self) -> npt.NDArray[Any]:
        """``[rows]``, the numbers."""
        return self.values

    @property
    def heading(self) -> list[str]:
        """Of `cells`."""
        interval = [] if self.half_width is None else ["95% interval"]
        return ["row", self.target, *interval, *(["truth"] if self.truth else [])]

    def cells(self, row: int) -> list[str]:
        """A prediction as text."""
        value = float(self.values[row])
        cells = [_name(self, row), self._shown(value)]
        if self.half_width is not None:
            low, high = (self._shown(value + side * self.half_width) for side in (-1, 1))
            cells.append(f"{low} to {high}")
        if self.truth:
            cells.append(self._shown(self.truth[row]) if row in self.truth else "")
        return cells

    def told(self, row: int) -> dict[str, Any]:
        """A prediction as JSON values."""
        value = float(self.values[row])
        told: dict[str, Any] = {"row": row, "prediction": self._exact(value)}
        if self.half_width is not None:
            told["interval"] = [self._exact(value + side * self.half_width) for side in (-1, 1)]
        if row in self.truth:
            told["target"] = self._exact(self.truth[row])
        return told

    def columns(self) -> dict[str, list[Any]]:
        """All predictions as columns."""
        ends = {"prediction": 0.0}
        if self.half_width is not None:
            ends |= {"low": -self.half_width, "high": self.half_width}
        values = self.values.tolist()
        return {name: [self._exact(v + add) for v in values] for name, add in ends.items()}

    def _decimals(self, digits: int) -> int:
        """Decimals that tell so many digits of the target's standard deviation."""
        of_scale = math.floor(math.log10(self.scale)) if 0 < self.scale < math.inf else 0
        return digits - 1 - of_scale

    def _exact(self, value: float) -> float:
        return round(value, self._decimals(6))

    def _shown(self, value: float) -> str:
        decimals = self._decimals(3)
        return f"{round(value, decimals):.{max(0, decimals)}f}"


@dataclass(frozen=True, eq=False)
class LabelRows:
    """Predicted labels.

    Attributes:
        target: Name of the column that is predicted.
        labels: A label a row; None for none of the classes.
        best: Of each row the likeliest labels with their probabilities, in order.
        truth: The labels that are known, by the number of their row.
        names: As in `NumberRows`.
    """

    target: str
    labels: Sequence[Label | None]
    best: Sequence[Sequence[tuple[Label, float]]]
    truth: Mapping[int, Label] = field(default_factory=dict)
    names: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> npt.NDArray[Any]:
        """``[rows]``, the labels."""
        return np.array(self.labels, object)

    @property
    def heading(self) -> list[str]:
        """Of `cells`."""
        more = ["next"] if any(len(best) > 1 for best in self.best) else []
        return ["row", self.target, "probability", *more, *(["truth"] if self.truth else [])]

    def cells(self, row: int) -> list[str]:
        """A prediction as text."""
        label, best = self.labels[row], self.best[row]
        of = f" {best[0][0]}" if label is None else ""
        cells = [
            _name(self, row),
            NONE if label is None else str(label),
            f"{in_percent(best[0][1])}{of}",
        ]
        if "next" in self.heading:
            cells.append(", ".join(f"{name} {in_percent(p)}" for name, p in best[1:]))
        if self.truth:
            cells.append(str(self.truth.get(row, "")))
        return cells

    def told(self, row: int) -> dict[str, Any]:
        """A prediction as JSON values; ``top`` where the label does not tell all."""
        label, best = self.labels[row], self.best[row]
        told: dict[str, Any] = {"row": row, "label": label, "probability": _digits(best[0][1])}
        if len(best) > 1 or label is None:
            told["top"] = [{"label": name, "probability": _digits(p)} for name, p in best]
        if row in self.truth:
            told |= {"class": self.truth[row], "right": label == self.truth[row]}
        return told

    def columns(self) -> dict[str, list[Any]]:
        """All predictions as columns."""
        found: dict[str, list[Any]] = {
            "label": ["" if label is None else label for label in self.labels],
            "probability": [_digits(best[0][1]) for best in self.best],
        }
        for place in range(1, max((len(best) for best in self.best), default=1)):
            found[f"label_{place + 1}"] = [best[place][0] for best in self.best]
            found[f"probability_{place + 1}"] = [_digits(best[place][1]) for best in self.best]
        return found


Rows = NumberRows | LabelRows


def row_lines(found: Rows, width: int) -> Iterator[str]:
    """The predictions as a table of text for a terminal of this width, the first ones of many."""
    shown = min(len(found), MOST_SHOWN)
    yield from in_columns(found.heading, [found.cells(row) for row in range(shown)], width)
    if len(found) > shown:
        yield f"... and {len(found) - shown:,} more; --json prints all"


def as_csv(header: Sequence[str], cells: Iterable[Sequence[Any]], found: Rows) -> bytes:
    """The rows of a table, and behind their columns the predictions, as a CSV file.

    A name that is taken gets a number: ``prediction_2``.
    """
    columns = found.columns()
    names = list(header)
    for name in columns:
        number, free = 2, name
        while free in names:
            free, number = f"{name}_{number}", number + 1
        names.append(free)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row, values in zip(cells, zip(*columns.values(), strict=True), strict=True):
        writer.writerow([*row, *values])
    return out.getvalue().encode(errors="surrogateescape")


def _name(found: Rows, row: int) -> str:
    return str(row if found.names is None else found.names[row])


def _digits(probability: float) -> float:
    return float(f"{probability:.6g}")
