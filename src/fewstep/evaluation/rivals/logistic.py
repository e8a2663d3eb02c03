"""A logistic regression a task, of its support rows alone, by scikit-learn."""

from functools import partial

import numpy as np

from fewstep.evaluation.rivals.rows import Array, Episode, Floats, Rival, best_of, error_rate

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""The penalties, one over scikit-learn's C, of which one is chosen."""


def logistic(penalty: float, support_x: Floats, support_y: Array, query_x: Floats) -> Array:
    """The most probable class; where all support rows are of one class, that one.

    >>> x = np.array([[-1.0], [1.0]])
    >>> logistic(1.0, x, np.array([4, 7]), 3 * x)
    array([4, 7])
    """
    # Only here, since it is an extra.
    from sklearn.linear_model import LogisticRegression

    if (support_y == support_y[0]).all():
        return np.full(len(query_x), support_y[0])
    model = LogisticRegression(C=1 / penalty, max_iter=1000).fit(support_x, support_y)
    prediction: Array = model.predict(query_x)
    return prediction


def best_logistic(validation: list[Episode]) -> tuple[float, Rival]:
    """The penalty of least error on validation tasks of some number of rows, and its regression."""
    return best_of({p: partial(logistic, p) for p in PENALTIES}, validation, error_rate)
