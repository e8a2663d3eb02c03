"""One answer for all rows of a task: the mean, or the most frequent class, of its support rows."""

import numpy as np

from fewstep.evaluation.rivals.rows import Array, Floats, Rival


def task_mean(_: Floats, support_y: Array, query_x: Floats) -> Array:
    """The mean of the support targets.

    >>> task_mean(np.zeros((2, 1)), np.array([1.0, 3.0]), np.zeros((3, 1)))
    array([2., 2., 2.])
    """
    return np.full(len(query_x), support_y.mean())


def majority(training_y: Array) -> Rival:
    """The most frequent class of the support rows; of equals, the one more frequent in training.

    >>> rival = majority(np.array([0, 1, 1, 2]))
    >>> rival(np.zeros((4, 1)), np.array([0, 0, 1, 1]), np.zeros((2, 1)))
    array([1, 1])
    """
    classes = int(training_y.max()) + 1
    prior = np.bincount(training_y, minlength=classes) / (len(training_y) + 1)

    def predict(_: Floats, support_y: Array, query_x: Floats) -> Array:
        # Less than one, a share of the training rows decides between equals alone.
        counts = np.bincount(support_y, minlength=classes) + prior
        return np.full(len(query_x), int(counts.argmax()))

    return predict
