"""The picture of an adaptation to rows: what it predicts, beside the truth where that is known."""

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fewstep.predictors.table_verdict import THIS
from fewstep.report.pictures import COLOURS
from fewstep.report.row_predictions import LabelRows, NumberRows
from fewstep.report.rows_adaptation import RowsAdaptation, learned, verdict_lines

MOST = 500  # rows in a picture


def rows_sheet(done: RowsAdaptation) -> bytes:
    """A PNG file: prediction over truth, or predictions by row where no target is known."""
    figure = Figure(figsize=(7, 5.4), layout="constrained")
    axes = figure.subplots()
    found = done.predictions
    title = learned(done)
    if isinstance(found, NumberRows):
        draw = _against_truth if found.truth else _by_row
        draw(axes, done, found)
    elif isinstance(found, LabelRows):
        _of_labels(axes, found)
    else:
        _support(axes, done)
    axes.set_title(title, fontsize=10, parse_math=False, wrap=True)
    out = io.BytesIO()
    figure.savefig(out, dpi=130, format="png")
    return out.getvalue()
