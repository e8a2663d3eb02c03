"""A summary tells a result with its protocol, for any metrics, and is read back."""

import json
import math

from fewstep.config.recipes import RECIPES
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
