"""A summary tells a result with its protocol, for any metrics, and is read back."""

import json
import math
from dataclasses import replace

from fewstep.config.recipes import RECIPES
from fewstep.evaluation.calibrated import Calibration
from fewstep.evaluation.calibration import Threshold
from fewstep.evaluation.evaluate import Means, Result
from fewstep.report.summary import results_of, summary
from fewstep.training.checkpoint import Progress

CONFIG = RECIPES["glyphs-5way-1shot"].config
MEANS = Means([0.20000000298, 0.950000072479248], [0.01, math.nan])


def result(*metrics):
    return Result(dict.fromkeys(metrics, MEANS), MEANS, tasks=7, diverged=None)


def test_numbers_are_told_without_noise():
    told = summary(CONFIG, {"inductive": result("accuracy")}, Progress(3, 1.23456789012), "test")
    assert told["accuracy"] == {"0": 0.2, "1": 0.95}
    assert told["ci95"] == {"0": 0.01, "1": None}
    assert told["training_seconds"] == 1.23457
    assert "NaN" not in json.dumps(told)


def test_metrics_of_any_name():
    names = ("worst class", "f1", "a$b$", "seed", "tasks")
    told = summary(CONFIG, {"inductive": result(*names)}, Progress(), "test")
    assert list(told["norms"]["inductive"]) == [*names, "loss"]
    assert told["worst class"] == told["f1"] == {"0": 0.2, "1": 0.95}
    # The protocol is told under its own names.
    assert (told["seed"], told["tasks"]) == (CONFIG.seed, 7)


def test_a_summary_is_read_back():
    both = {"transductive": result("f1", "b"), "inductive": result("f1", "b")}
    told = json.loads(json.dumps(summary(CONFIG, both, Progress(), "test")))
    read = results_of(told)
    assert list(read) == ["transductive", "inductive"]
    one = read["inductive"]
    assert one.metrics["b"].mean == [0.2, 0.95]
    assert math.isnan(one.loss.ci95[1])
    assert one.tasks == 7


CALIBRATION = Calibration(1.25, 900, 0.101234567891, 0.02, -0.1, Threshold(0.6, 0.9, 0.8))


def test_a_calibration_is_told_and_read_back():
    plain = replace(CALIBRATION, threshold=None, temperature=1.0, unchosen="few classes")
    both = {
        "transductive": replace(result("accuracy"), calibration=plain),
        "inductive": replace(result("accuracy"), calibration=CALIBRATION),
    }
    told = json.loads(json.dumps(summary(CONFIG, both, Progress(), "test")))
    assert told["calibration"]["inductive"] == {
        **{"temperature": 1.25, "predictions": 900, "ece_before": 0.101235, "ece_after": 0.02},
        **{"overconfidence": -0.1, "threshold": 0.6, "known_kept": 0.9, "absent_refused": 0.8},
    }
    read = results_of(told)
    assert read["inductive"].calibration == replace(CALIBRATION, ece_before=0.101235)
    assert read["transductive"].calibration.threshold is None
    assert read["transductive"].calibration.unchosen == "few classes"


def test_a_summary_without_a_calibration_is_read():
    told = summary(CONFIG, {"inductive": result("accuracy")}, Progress(), "test")
    assert "calibration" not in told
    assert results_of(told)["inductive"].calibration is None
