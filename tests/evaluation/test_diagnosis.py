"""Each figure that is out of line is told with what to do; where all is well nothing is said."""

import math
from dataclasses import replace

import pytest

from fewstep.evaluation.diagnosis import diagnosis_as_json, findings
from fewstep.evaluation.figures import Covered, Figures, Trend, Worsened

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
        ({"before": 0.94, "gain_ci95": 0.02}, "from 94.0% to 94.0%: little is learned yet"),
        (
            {**ERROR, "before": 0.99, "gain_ci95": 0.01},
            "validation tasks from 0.990 to 0.940:",
        ),
        ({"gradient_norm": 1e-9}, "the outer gradient has vanished"),
        ({"gradient_peak": 30.0}, "the outer gradient jumps (norm 0.3 at the median, 30"),
        ({"support_loss_after": 2.5}, "from 1.6 to 2.5: the inner loop diverges"),
        ({"support_loss_after": math.nan}, "the inner loop diverges, so try a smaller --inner-lr"),
        ({"support_loss_before": math.nan}, "not finite before adaptation: the initialisation is"),
        ({"support_loss_after": 1.5}, "it hardly adapts, so try a larger --inner-lr"),
        ({"worse": 0.3}, "adaptation raises the query loss of 30% of the validation tasks"),
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
    told = diagnosis_as_json(replace(GOOD, validation_ci95=math.nan, gradient_norm=None))
    assert told["validation_ci95"] is told["gradient_norm"] is None
    assert told["training"] == 0.97
    assert told["findings"] == []


WORSENED = {**ERROR, "training": 0.9, "validation": 0.94}
R2D2, PROTONET, FINETUNE = {"penalty"}, set(), {"inner_lr", "test_inner_steps"}
TABLE = {"pooled", "min_k_shot", "layers", "width"}
"""Settings that a user may change of an algorithm, and of a run on a table."""


@pytest.mark.parametrize(
    ("changes", "is_said"),
    [
        ({**WORSENED, "worsened": Worsened(200, 1000, 0.712, 0.8, 0.005)}, True),
        ({"worsened": Worsened(100, 700, 0.9, 0.86, 0.004)}, True),
        # By less than validations differ anyway, which the best of them profits from.
        ({"worsened": Worsened(100, 700, 0.93, 0.915, 0.006)}, False),
        ({**WORSENED, "worsened": Worsened(200, 1000, 0.712, 0.8, 0.05)}, False),
        # By next to nothing, however steadily.
        ({"worsened": Worsened(100, 700, 0.994, 0.989, 0.0001)}, False),
        ({**WORSENED, "worsened": Worsened(200, 1000, 0.712, 0.72, 0.0001)}, False),
        # The best came late.
        ({**WORSENED, "worsened": Worsened(600, 1000, 0.712, 0.8, 0.005)}, False),
    ],
)
def test_validation_that_got_worse_since_early(changes, is_said):
    told = findings(replace(GOOD, **changes))
    assert any("overfits the training tasks, so try fewer --steps" in s for s in told) == is_said
    assert len(told) == is_said


def test_a_smaller_network_is_one_that_there_is():
    worsened = replace(GOOD, **WORSENED, worsened=Worsened(200, 1000, 0.712, 0.8, 0.005))
    (told,) = findings(replace(worsened, settings=frozenset(R2D2 | TABLE)))
    assert "best after step 200 of 1,000 (0.712)" in told
    assert "--layers 0, a smaller --width or more training tasks" in told
    (told,) = findings(worsened)
    assert "--layers" not in told


OUT_OF_LINE = [
    {"support_loss_after": 2.5},
    {"support_loss_after": 1.5},
    {"worse": 0.6},
    {"gradient_norm": 1e-9},
    {"gradient_peak": 30.0},
    {"before": 0.94, "gain_ci95": 0.02},
]
NONE_OF = {
    "r2d2": (R2D2 | TABLE, ("--inner-lr", "inner-steps")),
    "protonet": (PROTONET, ("--inner-lr", "inner-steps", "--penalty", "pooled")),
    "finetune": (FINETUNE, (" --inner-steps", "--penalty")),
    "reptile": ({"inner_lr", "inner_steps", "test_inner_steps"}, ("--penalty", "pooled")),
}


@pytest.mark.parametrize("algorithm", NONE_OF)
@pytest.mark.parametrize("changes", OUT_OF_LINE)
def test_advice_has_an_effect_for_the_algorithm(algorithm, changes):
    settings, absent = NONE_OF[algorithm]
    told = findings(replace(GOOD, **changes, settings=frozenset(settings)))
    assert not any(flag in sentence for sentence in told for flag in absent)
    assert all(", so " in sentence for sentence in told)


def test_where_tasks_hardly_differ_the_pooled_network_is_named():
    hardly = replace(GOOD, before=0.94, gain_ci95=0.02, settings=frozenset(R2D2 | TABLE))
    (told,) = findings(hardly)
    assert "compare it with the pooled network (fewstep compare RUN)" in told
    assert "--steps" not in told
    (told,) = findings(replace(GOOD, worse=0.6, settings=frozenset(R2D2 | TABLE)))
    assert "--penalty" in told
    assert "--min-k-shot" in told


@pytest.mark.parametrize(
    "changes",
    [
        # Adaptation harms, which is not that little is learned.
        {"worse": 0.6, "before": 0.95, "gain_ci95": 0.01},
        {"worse": 0.6, "support_loss_after": 1.5},
        {"gradient_peak": 30.0, "support_loss_after": 1.5},
        {"validation": 0.7, "trend": Trend("validation", 0.6, 0.7, 0.01)},
        {"validation": 0.7, "trend": Trend("training", 0.6, 0.7, 0.01)},
        {"validation": 0.7, "before": 0.7, "gain_ci95": 0.01},
        {"validation": 0.7, "trained": 5, "planned": 10},
        {"before": 0.9, "gain_ci95": 0.0, "worsened": Worsened(100, 700, 0.9, 0.8, 0.004)},
    ],
)
def test_no_two_findings_contradict_one_another(changes):
    told = " ".join(findings(replace(GOOD, **changes)))
    assert told
    opposites = [
        ("more --steps", "stop earlier"),
        ("more --steps", "the initialisation overfits"),
        ("more --steps", "fewer --steps"),
        ("goes on from there", "stop earlier"),
        ("larger --inner-lr", "smaller --inner-lr"),
        ("little is learned", "overfits"),
    ]
    assert not [pair for pair in opposites if all(words in told for words in pair)]


@pytest.mark.parametrize(
    ("covered", "is_said"),
    [
        (Covered(7, 0.71, 0.05, 40), True),
        (Covered(7, 0.80, 0.30, 4), True),
        (Covered(7, 0.80, math.nan, 4), True),
        (Covered(7, 0.80, 0.30, 40), False),
        (Covered(7, 0.93, 0.01, 40), False),
        (Covered(7, 0.96, 0.01, 4), False),
        (Covered(7, math.nan, math.nan, 4), False),
    ],
)
def test_an_interval_that_holds_too_seldom_is_named(covered, is_said):
    told = findings(replace(GOOD, covered=covered))
    assert len(told) == is_said
    assert all("95% interval with 7 rows held" in s and "validation tasks tell" in s for s in told)


def test_a_training_that_goes_on_is_not_called_stopped():
    stopped = replace(GOOD, trained=50, planned=300)
    assert "stopped after 50 of 300 outer steps, so train in the same" in findings(stopped)[0]
    (told,) = findings(replace(stopped, trainer="process 7 on here"))
    assert told.startswith("the training is at 50 of 300 outer steps, and process 7 on here goes")
    assert "stopped" not in told


def test_metrics_that_cannot_be_read_are_not_all_well():
    unread = replace(GOOD, unread="m.jsonl has a line that is no metrics")
    assert findings(unread) == ["of the training nothing is known: " + unread.unread]
    assert "unread" not in diagnosis_as_json(unread)


def test_an_inner_loop_that_diverges_is_not_said_to_overfit():
    apart = replace(GOOD, support_loss_before=1.2, support_loss_after=1.7e24, worse=1.0)
    told = findings(apart)
    assert any("the inner loop diverges" in line for line in told)
    assert not any("overfits the support set" in line for line in told)
