"""Numbers of results have the same digits wherever they are shown."""

import math

import pytest

from fewstep.cli.console import plain_console
from fewstep.cli.progress import ProgressBar
from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.evaluation.evaluate import Means, Result
from fewstep.evaluation.numbers import share_interval, shown, student
from fewstep.report.table import ScoreTable


@pytest.mark.parametrize(
    ("metric", "value", "ci95", "told"),
    [
        ("accuracy", 0.9274, 0.0061, "92.7% ± 0.6%"),
        ("accuracy", 1.0, math.nan, "100.0%"),
        # The same result in float32, in float64 and as it stands in a file.
        ("accuracy", 0.992500007, math.nan, "99.3%"),
        ("accuracy", 0.99249998, math.nan, "99.3%"),
        ("accuracy", 0.9925, math.nan, "99.3%"),
        ("accuracy", 0.0605, 0.0045, "6.1% ± 0.5%"),
        ("accuracy", math.nan, math.nan, "nan%"),
        ("mse", 0.12349999999, math.nan, "0.124"),
        ("mse", 0.1235, math.nan, "0.124"),
        ("mse", 0.6204, 0.0123, "0.620 ± 0.012"),
        ("mse", 0.00012345, 0.0, "0.000123 ± 0.0"),
        ("mse", 135.2, 12.3, "135 ± 12"),
        ("mse", 12345.6, math.nan, "1.23e+04"),
        ("mse", math.nan, math.nan, "nan"),
        ("f1", -0.5, 0.1, "-0.500 ± 0.10"),
    ],
)
def test_a_number_as_text(metric, value, ci95, told):
    assert shown(metric, value, ci95) == told


@pytest.mark.parametrize(
    ("metric", "recipe"), [("accuracy", "glyphs-5way-1shot"), ("mse", "sinusoid")]
)
def test_every_place_has_the_same_digits(metric, recipe, capsys):
    config, means = RECIPES[recipe].config, Means([0.123456], [0.023456])
    result = Result({metric: means}, means, tasks=9, diverged=None)
    console = plain_console()
    console.print(ScoreTable({"maml": {"transductive": result}}))
    figures = {"val/score": 0.123456, "val/ci95": 0.023456}
    ProgressBar(console, config).validated(1, figures, result)
    table, line = capsys.readouterr().out.split("step      1")
    told = shown(metric, 0.123456, 0.023456)
    assert told in repr(result)
    assert told in line
    assert told.replace("%", "") in table


@pytest.mark.parametrize(("algorithm", "over"), [("maml", False), ("finetune", True)])
def test_the_accuracy_of_pretraining_names_its_classes(algorithm, over, capsys):
    config = with_algorithm(RECIPES["glyphs-5way-1shot"].config, algorithm)
    means = Means([0.5], [0.1])
    result = Result({"accuracy": means}, means, tasks=9, diverged=None)
    figures = {"val/score": 0.5, "val/ci95": 0.1}
    ProgressBar(plain_console(), config).validated(1, figures, result)
    assert ("over all training classes" in capsys.readouterr().out) is over


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    # As statsmodels' proportion_confint(..., method="wilson") has them.
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (24, 25, 0.8046, 0.9929),
        (5, 10, 0.2366, 0.7634),
    ],
)
def test_the_interval_of_a_share(right, of, low, high):
    assert share_interval(right, of) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 7, 11, 29, 99, 599, 10**6])
def test_the_quantile_of_student(freedom):
    stats = pytest.importorskip("scipy.stats")
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)
