"""Predictions for pictures as text, as JSON values and as rows of a CSV file."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewstep.data.own_pictures import Pictures
from fewstep.evaluation.numbers import in_percent
from fewstep.predictors.classifier import AdaptedClassifier, Label
from fewstep.report.columns import in_columns

NONE = "none of these"


@dataclass(frozen=True)
class Prediction:
    """The labels of one picture.

    Attributes:
        file: The picture.
        label: The answer; None for none of the classes.
        best: The likeliest labels with their probabilities, in order; one at least.
        truth: Its class, where that is known.
    """

    file: str
    label: Label | None
    best: list[tuple[Label, float]]
    truth: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The prediction as JSON values; ``top`` where the label does not tell all."""
        told: dict[str, Any] = {
            "file": self.file,
            "label": self.label,
            "probability": _digits(self.best[0][1]),
        }
        if len(self.best) > 1 or self.label is None:
            told["top"] = [{"label": name, "probability": _digits(p)} for name, p in self.best]
        if self.truth is not None:
            told |= {"class": self.truth, "right": self.label == self.truth}
        return told


def predictions_of(
    adapted: AdaptedClassifier, pictures: Pictures, top: int = 1, threshold: float = 0.0
) -> list[Prediction]:
    """The ``top`` likeliest labels of each picture; below a threshold none is the answer."""
    if not pictures.files:
        return []
    probabilities = adapted.predict_proba(pictures.x)
    order = (-probabilities).argsort(1, kind="stable")[:, :top]
    found = []
    for number, label in enumerate(adapted.labels_of(probabilities, threshold)):
        best = [(adapted.classes[k], float(probabilities[number, k])) for k in order[number]]
        truth = None if pictures.labels is None else pictures.labels[number]
        found.append(Prediction(str(pictures.files[number]), label, best, truth))
    return found


def prediction_lines(
    predictions: Sequence[Prediction], width: int, folder: Path | None = None
) -> Iterator[str]:
    """The predictions as a table of text; a row in two lines on a narrow terminal.

    Files are named from ``folder`` on. Where their classes are known, wrong labels are marked.
    """
    many = max((len(one.best) for one in predictions), default=1)
    heading = ["file", "label", "probability", *(["next"] if many > 1 else [])]
    known = any(one.truth is not None for one in predictions)
    rows = [_cells(one, many, known, folder) for one in predictions]
    return in_columns([*heading, *([""] if known else [])], rows, width)


def as_csv(predictions: Sequence[Prediction]) -> bytes:
    """The predictions as a CSV file: file, label, probability, label_2, probability_2, ..."""
    many = max((len(one.best) for one in predictions), default=1)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    more = [name for n in range(2, many + 1) for name in (f"label_{n}", f"probability_{n}")]
    writer.writerow(["file", "label", "probability", *more])
    for one in predictions:
        first = "" if one.label is None else one.label
        rest = [cell for name, p in one.best[1:] for cell in (name, _digits(p))]
        writer.writerow([one.file, first, _digits(one.best[0][1]), *rest])
    # A file may have a name that is no text.
    return out.getvalue().encode(errors="surrogateescape")


def _cells(one: Prediction, many: int, known: bool, folder: Path | None) -> list[str]:
    label = NONE if one.label is None else str(one.label)
    of = f" {one.best[0][0]}" if one.label is None else ""
    file = one.file if folder is None else str(Path(one.file).relative_to(folder))
    cells = [file, label, f"{in_percent(one.best[0][1])}{of}"]
    if many > 1:
        cells.append(", ".join(f"{name} {in_percent(p)}" for name, p in one.best[1:]))
    if known:
        cells.append("" if one.truth in (None, one.label) else "wrong")
    return cells


def _digits(probability: float) -> float:
    return float(f"{probability:.6g}")
