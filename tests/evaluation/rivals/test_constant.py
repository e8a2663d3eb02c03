"""Rivals that answer alike for all rows of a task."""

import numpy as np

from fewstep.evaluation.rivals.constant import majority, task_mean

X = np.zeros((4, 2))


def test_the_mean_is_of_the_support_rows():
    assert task_mean(X, np.array([1.0, 2.0, 3.0, 6.0]), X[:2]).tolist() == [3, 3]


def test_equal_classes_are_decided_by_training():
    rival = majority(np.array([0] * 5 + [1] * 10 + [2] * 90))
    assert rival(X, np.array([0, 1, 0, 1]), X[:1]).tolist() == [1]
    assert rival(X, np.array([0, 0, 0, 1]), X[:1]).tolist() == [0]
