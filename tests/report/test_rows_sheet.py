"""The picture of an adaptation to rows."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fewstep.config.recipes import RECIPES
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from fewstep.predictors.table_verdict import verdict_of
from fewstep.report.row_predictions import LabelRows, NumberRows
from fewstep.report.rows_adaptation import RowsAdaptation
from fewstep.report.rows_sheet import rows_sheet
from tests.predictors.shared_rows import PASSED, SUPPORT, of_table

TRUTH = np.linspace(90, 110, 8)
NUMBERS = NumberRows("score $a$", TRUTH + 1, 10.0, 4.0)
LABELS = LabelRows("passed", ["no", None], [[("no", 0.8)], [("$y", 0.6)]])


def done(found, verdict=None, how="score"):
    config = replace(RECIPES["sinusoid"].config, task="school")
    if how == "score":
        adapted = adapt_regressor(of_table(), SUPPORT, SUPPORT.score)
    else:
        adapted = adapt_classifier(of_table(PASSED), SUPPORT, SUPPORT.passed)
    taught = SUPPORT[how].to_numpy()
    return RowsAdaptation(config, adapted, taught, found, verdict, [])


@pytest.mark.parametrize(
    "one",
    [
        done(NUMBERS),
        done(replace(NUMBERS, half_width=None)),
        done(
            replace(NUMBERS, truth=dict(enumerate(TRUTH))),
            verdict_of(TRUTH, TRUTH, TRUTH + 1, TRUTH + 2),
        ),
        done(None),
        done(LABELS, how="passed"),
        done(replace(LABELS, truth={0: "yes", 1: "no"}), how="passed"),
        done(None, how="passed"),
    ],
)
def test_a_picture_of_what_is_known(one):
    with Image.open(io.BytesIO(rows_sheet(one))) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert pixels.shape[1] > pixels.shape[0] > 200
    assert (pixels < 128).mean() > 0.005
