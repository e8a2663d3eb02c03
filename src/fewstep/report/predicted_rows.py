"""From an adapted model and rows of a table to predictions that can be told."""

from typing import Any

import numpy as np

from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.tables.own_rows import OwnRows
from fewstep.predictors.further import Adapted
from fewstep.predictors.regressor import AdaptedRegressor
from fewstep.predictors.targets import truths
from fewstep.report.row_predictions import LabelRows, NumberRows, Rows


def predicted_rows(adapted: Adapted, query: OwnRows, top: int = 1, threshold: float = 0.0) -> Rows:
    """The predictions for rows, beside their targets where these are known.

    Args:
        adapted: A model of a table.
        query: The rows.
        top: How many labels of a row.
        threshold: The least probability of a label.

    Raises:
        InputError: The rows do not fit.
    """
    how = adapted.preparation
    assert isinstance(how, TablePreparation)
    truth: dict[int, Any] = {}
    if query.known is not None:
        places = np.flatnonzero(query.known).tolist()
        truth = dict(zip(places, truths(query.only(query.known).frame, how).tolist(), strict=True))
    names = query.frame.index.tolist()
    if isinstance(adapted, AdaptedRegressor):
        values, half = adapted.predict(query.table), adapted.half_width
        return NumberRows(how.target, values, how.target_scale, half, truth, names)
    probabilities = adapted.predict_proba(query.table)
    order = (-probabilities).argsort(1, kind="stable")[:, :top]
    best = [
        [(adapted.classes[k], float(row[k])) for k in places]
        for row, places in zip(probabilities, order, strict=True)
    ]
    labels = adapted.labels_of(probabilities, threshold)
    return LabelRows(how.target, labels, best, truth, names)
