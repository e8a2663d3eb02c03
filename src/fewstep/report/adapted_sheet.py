"""The picture of an adaptation: its support set, and what it predicts."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from fewstep.data.preparation import Preparation
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.teaching import Teaching
from fewstep.report.predictions import Prediction
from fewstep.report.support_sheet import GREY, RIGHT, WRONG, Pixels, Row, Tile, sheet


def adapted_sheet(
    title: str,
    adapted: AdaptedClassifier,
    known: Teaching,
    query: Pixels,
    predictions: Sequence[Prediction],
) -> bytes:
    """A PNG file: a row a class with its support pictures and its query pictures.

    Query pictures whose class is not known stand in the row of the class that is predicted.
    """
    rows = {name: Row(str(name)) for name in adapted.classes}
    for pixels, label in zip(_as_bytes(known.support_x), known.support_y.tolist(), strict=True):
        rows[adapted.classes[label]].support.append(Tile(pixels))
    for pixels, one in zip(query, predictions, strict=True):
        label, probability = one.best[0]
        colour = GREY if one.truth is None else RIGHT if one.label == one.truth else WRONG
        lines = (str(label), f"{probability:.0%}")
        rows[label if one.truth is None else one.truth].query.append(Tile(pixels, lines, colour))
    how = adapted.preparation
    ink = isinstance(how, Preparation) and how.ink
    return sheet(title, list(rows.values()), ink=ink)


def _as_bytes(x: Tensor) -> Pixels:
    found: Pixels = (255 * x).round().clamp(0, 255).numpy().astype(np.uint8)
    return found
