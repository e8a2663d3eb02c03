"""Each figure that is out of line is told with what to do; where all is well nothing is said."""

import math
from dataclasses import replace

import pytest

from fewstep.evaluation.diagnosis import Figures, findings

GOOD = Figures(
    score="accuracy",
    training=0.97,
    training_ci95=0.01,
    validation=0.94,
    validation_ci95=0.01,
    support_loss_before=1.6,
    support_loss_after=0.02,
    worse=0.01,
    gradient_norm=0.3,
    gradient_peak=0.9,
    tasks=100,
)
ERROR = {"score": "mse", "larger_is_better": False}


def test_nothing_is_said_where_all_is_well():
    assert findings(GOOD) == []
    assert findings(replace(GOOD, **ERROR, training=0.30, validation=0.33)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"validation": 0.70}, "97.0% on training classes and 70.0% on validation classes"),
        ({**ERROR, "training": 0.1, "validation": 0.5}, "error is 0.100 on training tasks"),
        ({"before": 0.94, "gain_ci95": 0.02}, "from 94.0% to 94.0% alone: little is learned yet"),
        (
            {**ERROR, "before": 0.99, "gain_ci95": 0.01},
            "validation tasks from 0.990 to 0.940 alone",
        ),
        ({"gradient_norm": 1e-9}, "the outer gradient has vanished"),
        ({"gradient_peak": 30.0}, "the outer gradient jumps (norm 0.3 at the median, 30"),
        ({"support_loss_after": 2.5}, "from 1.6 to 2.5: the inner loop diverges"),
        ({"support_loss_after": math.nan}, "the inner loop diverges, so try a smaller --inner-lr"),
        ({"support_loss_before": math.nan}, "not finite before adaptation: the initialisation is"),
        ({"support_loss_after": 1.5}, "it hardly adapts, so try a larger --inner-lr"),
        ({"worse": 0.3}, "adaptation makes 30% of the tasks worse"),
        ({"pretraining": 0.002, "classes": 940}, "is 0.2% over 940 classes, where chance is 0.1%"),
    ],
)
def test_one_sentence_for_each_figure_out_of_line(changes, told):
    (sentence,) = findings(replace(GOOD, **changes))
    assert told in sentence
    assert ", so " in sentence
    # Many data sets have no such setting.
    assert "--rotations" not in sentence


@pytest.mark.parametrize(
    "changes",
    [
        {"validation": 0.70, "validation_ci95": 0.2},
        {"validation": 0.99},
        {"worse": 0.15},
        {"worse": 0.3, "tasks": 4},
        {"gradient_norm": None, "gradient_peak": None},
        {"support_loss_before": 0.5, "support_loss_after": 0.5},
        {"validation": 0.70, "validation_ci95": math.nan},
        {"pretraining": 0.3, "classes": 940},
        {"pretraining": 0.9, "classes": 5},
        {"pretraining": None, "classes": 940},
        {"before": 0.94, "gain_ci95": 0.1},
        {"before": 0.5, "gain_ci95": 0.01},
    ],
    ids=[
        *("uncertain gap", "validation ahead", "uncertain share", "few tasks", "no metrics"),
        *("no inner loop", "one task", "on the way", "few classes", "no pre-training metrics"),
        *("a gain that is uncertain", "a gain"),
    ],
)
def test_what_tasks_do_not_show_is_not_said(changes):
    assert findings(replace(GOOD, **changes)) == []


def test_json_knows_no_nan():
    told = replace(GOOD, validation_ci95=math.nan, gradient_norm=None).as_json()
    assert told["validation_ci95"] is told["gradient_norm"] is None
    assert told["training"] == 0.97
    assert told["findings"] == []
