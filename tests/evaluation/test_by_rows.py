"""Which model is best on the same tasks, and which cannot be told apart from it."""

import math

import numpy as np
import pytest

from fewstep.evaluation.by_rows import AtRows, by_task, mean_of

random = np.random.default_rng(0)
HARD = random.normal(10, 3, 30)  # tasks differ far more than models do


def at(scores, *, larger_is_better=False):
    return AtRows(5, scores, larger_is_better, {})


def test_models_are_told_apart_by_differences_on_each_task():
    scores = {"one": HARD + 0.2, "other": HARD + 0.1 * random.normal(size=30)}
    found = at(scores)
    assert found.best == "other"
    assert found.level == []
    assert found.mean("one").ci95 > 0.8 > 0.1 > found.behind("one", "other").ci95
    assert found.behind("one", "other").mean == pytest.approx(0.2, abs=0.06)


def test_a_difference_within_its_interval_is_none():
    scores = {"one": HARD, "other": HARD + random.normal(0.05, 1, 30), "far": HARD + 5}
    found = at(scores)
    assert {found.best, *found.level} == {"one", "other"}


def test_more_accuracy_is_better():
    found = at({"one": np.full(4, 0.7), "other": np.full(4, 0.9)}, larger_is_better=True)
    assert found.best == "other"
    assert found.behind("one", "other").mean == pytest.approx(0.2)


@pytest.mark.parametrize("larger_is_better", [False, True])
def test_what_gives_no_number_is_never_best_nor_level(larger_is_better):
    found = at({"bad": HARD * np.nan, "good": HARD}, larger_is_better=larger_is_better)
    assert (found.best, found.level) == ("good", [])


def test_of_a_single_task_nothing_is_told_apart():
    found = at({"one": np.array([1.0]), "other": np.array([2.0])})
    assert math.isnan(found.mean("one").ci95)
    assert (found.best, found.level) == ("one", ["other"])


def test_a_task_counts_once_however_often_it_is_drawn():
    assert by_task([1.0, 3.0, 9.0, 2.0], ["b", "a", "a", "b"]).tolist() == [6, 1.5]


def test_the_interval_of_few_tasks_is_that_of_student():
    samples = random.normal(size=(4000, 5))
    found = [mean_of(sample) for sample in samples]
    assert np.mean([abs(f.mean) <= f.ci95 for f in found]) == pytest.approx(0.95, abs=0.012)
