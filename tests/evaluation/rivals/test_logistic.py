"""Logistic regression of the support rows."""

import numpy as np

from fewstep.evaluation.rivals.logistic import best_logistic, logistic
from fewstep.evaluation.rivals.rows import Episode

random = np.random.default_rng(0)
X = random.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(np.int64) * 2


def test_classes_keep_their_numbers():
    found = logistic(0.1, X[:40], Y[:40], X[40:])
    assert {*found.tolist()} == {0, 2}
    assert (found == Y[40:]).mean() > 0.8


def test_support_rows_of_one_class():
    assert logistic(1.0, X[:2], np.array([3, 3]), X[:4]).tolist() == [3] * 4


def test_a_penalty_is_chosen():
    penalty, rival = best_logistic([Episode(X[:40], Y[:40], X[40:], Y[40:])])
    assert (rival(X[:40], Y[:40], X[40:]) == logistic(penalty, X[:40], Y[:40], X[40:])).all()
