"""A ridge regression a task, of its support rows alone (Hoerl and Kennard 1970)."""

from functools import partial

import numpy as np

from fewstep.evaluation.rivals.rows import Array, Episode, Floats, Rival, best_of, rmse

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
"""The penalties of which one is chosen, for features of about unit spread."""


def ridge(penalty: float, support_x: Floats, support_y: Array, query_x: Floats) -> Array:
    """Least squares with ``penalty`` times the squared weights; the intercept has none.

    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> ridge(1e-9, x, 3 * x[:, 0] + 1, np.array([[5.0]])).round(3)
    array([16.])
    """
    middle, level = support_x.mean(0), support_y.mean()
    x = support_x - middle
    products = x.T @ x + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(products, x.T @ (support_y - level))
    prediction: Array = level + (query_x - middle) @ weights
    return prediction


def best_ridge(validation: list[Episode]) -> tuple[float, Rival]:
    """The penalty of least error on validation tasks of some number of rows, and its regression."""
    return best_of({p: partial(ridge, p) for p in PENALTIES}, validation, rmse)
