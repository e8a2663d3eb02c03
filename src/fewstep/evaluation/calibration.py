"""How far probabilities can be believed, and what makes them more so.

`calibration_error` is the expected calibration error (Naeini, Cooper and Hauskrecht 2015; Guo,
Pleiss, Sun and Weinberger 2017, arXiv 1706.04599, equation 3), and `best_temperature` their
temperature scaling (section 4.2). All functions take tensors or arrays, and compute in float64.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewstep.errors import InputError

Numbers = Tensor | NDArray[Any] | Sequence[Any]

BINS = 15
FEWEST = 10  # predictions of a bin that is shown: of fewer the accuracy says nothing
"""Of equal width, as in Guo et al."""
LEAST, MOST = 1e-3, 1e3
"""Temperatures that are searched."""
_HALVINGS = 50  # of the logarithm of the temperature; what is left is below 1e-14


class Reliability(NamedTuple):
    """Predictions by the largest of their probabilities, in bins of equal width.

    Attributes:
        confidence: The mean of the largest probability in each bin; NaN in an empty one.
        accuracy: The share of right predictions in each bin; NaN in an empty one.
        share: The share of the predictions that are in each bin.
    """

    confidence: list[float]
    accuracy: list[float]
    share: list[float]

    def points(self, predictions: int) -> list[tuple[float, float]]:
        """Confidence and accuracy of the bins that hold enough of so many predictions."""
        rows = zip(*self, strict=True)
        return [(sure, right) for sure, right, part in rows if part * predictions > FEWEST - 0.5]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of confidence and accuracy."""
        rows = zip(*self, strict=True)
        return sum(share * abs(accuracy - sure) for sure, accuracy, share in rows if share > 0)

    @property
    def overconfidence(self) -> float:
        """How much surer the predictions are than they are right, on average; may be negative."""
        rows = zip(*self, strict=True)
        return sum(share * (sure - accuracy) for sure, accuracy, share in rows if share > 0)


class Threshold(NamedTuple):
    """The smallest largest probability with which a prediction is believed.

    Attributes:
        threshold: An example whose largest probability is below it is of none of the classes.
        known_kept: The share of examples of the classes that are not below it.
        absent_refused: The share of examples of other classes that are below it.
    """

    threshold: float
    known_kept: float
    absent_refused: float


def reliability(probabilities: Numbers, labels: Numbers, bins: int = BINS) -> Reliability:
    """Confidence and accuracy by bins of confidence, the largest probability.

    Args:
        probabilities: ``[..., classes]``.
        labels: ``[...]``, the number of the right class of each.
        bins: How many; bin m of M is from above (m - 1) / M to m / M.

    Raises:
        InputError: The shapes do not fit, or there is no prediction.

    >>> reliability([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], [0, 1, 1], bins=2).accuracy[1]
    0.6666666666666666
    """
    rows, targets = _rows(probabilities, labels)
    sure, predicted = rows.max(1)
    right = (predicted == targets).double()
    # Probabilities may be a rounding error above 1. One that is no number is in no bin of its own.
    number = (sure.nan_to_num() * bins).ceil().long().clamp(1, bins) - 1

    def sums(values: Tensor) -> Tensor:
        return torch.zeros(bins, dtype=torch.float64).index_add(0, number, values)

    count = sums(torch.ones_like(sure))
    confidence, accuracy = sums(sure) / count, sums(right) / count
    return Reliability(confidence.tolist(), accuracy.tolist(), (count / len(sure)).tolist())


def calibration_error(probabilities: Numbers, labels: Numbers, bins: int = BINS) -> float:
    """The expected calibration error, from 0 to 1; arguments and errors as in `reliability`.

    >>> calibration_error([[0.5, 0.5], [0.5, 0.5]], [0, 1])
    0.0
    """
    return reliability(probabilities, labels, bins).error


def at_temperature(logits: Numbers, temperature: float) -> Tensor:
    """``float64 [..., classes]``, the softmax of the logits divided by the temperature."""
    return (_tensor(logits).double() / temperature).softmax(-1)


def best_temperature(logits: Numbers, labels: Numbers) -> float:
    """The temperature T that makes the mean of -log softmax(logits / T) of the labels least.

    That mean is convex in 1 / T, so its derivative changes its sign once, which is found by
    halving; from 0.001 to 1000. Where every prediction is right, it would fall without an end as T
    falls, and nothing tells how sure is too sure: T is 1 then.

    Args:
        logits: ``[..., classes]``; logarithms of probabilities do as well.
        labels: ``[...]``, the number of the right class of each.

    Raises:
        InputError: The shapes do not fit, there is no prediction, or a logit is not finite.

    >>> round(best_temperature([[8.0, 0.0]] * 3 + [[0.0, 8.0]], [0, 0, 0, 0]), 3)
    7.282
    """
    rows, targets = _rows(logits, labels)
    if not rows.isfinite().all():
        raise InputError("a logit is not finite; no temperature makes it a probability")
    right = rows.gather(1, targets[:, None])[:, 0]

    def slope(temperature: float) -> float:
        """The derivative of the mean by 1 / T; 0 or more where T is too cold."""
        expected = ((rows / temperature).softmax(1) * rows).sum(1)
        return float((expected - right).mean())

    if (right == rows.amax(1)).all():
        return 1.0
    cold, hot = math.log(LEAST), math.log(MOST)
    for _ in range(_HALVINGS):
        middle = (cold + hot) / 2
        if slope(math.exp(middle)) > 0:
            cold = middle
        else:
            hot = middle
    return math.exp((cold + hot) / 2)


def best_threshold(known: Numbers, absent: Numbers) -> Threshold:
    """The threshold that makes the mean of both shares of `Threshold` largest.

    Args:
        known: The largest probability of examples of the classes that were adapted to.
        absent: That of examples of other classes.

    Raises:
        InputError: One of both is empty.

    >>> best_threshold([0.9, 0.8, 0.4], [0.3, 0.5])
    Threshold(threshold=0.65, known_kept=0.6666666666666667, absent_refused=1.0)
    """
    kept, refused = (_tensor(values).double().flatten().sort().values for values in (known, absent))
    if not (len(kept) and len(refused)):
        raise InputError(
            f"known has {len(kept)} probabilities and absent {len(refused)}; expected one at least"
        )
    values = torch.cat([kept, refused]).sort().values
    # Between two values all are alike; the middle is as far as can be from both.
    candidates = torch.cat([values[:1], (values[1:] + values[:-1]) / 2])
    of_known = 1 - torch.searchsorted(kept, candidates).double() / len(kept)
    of_absent = torch.searchsorted(refused, candidates).double() / len(refused)
    best = int((of_known + of_absent).argmax())
    return Threshold(float(candidates[best]), float(of_known[best]), float(of_absent[best]))


def _rows(scores: Numbers, labels: Numbers) -> tuple[Tensor, Tensor]:
    """``float64 [predictions, classes]`` and ``int64 [predictions]``."""
    rows, targets = _tensor(scores), _tensor(labels)
    if rows.dim() < 2 or rows.shape[:-1] != targets.shape or targets.is_floating_point():
        raise InputError(
            f"predictions are {list(rows.shape)} and labels {list(targets.shape)}, "
            f"{targets.dtype}; expected [..., classes] and whole numbers [...]"
        )
    if not targets.numel():
        raise InputError("there is no prediction; expected at least one")
    if not ((targets >= 0) & (targets < rows.shape[-1])).all():
        raise InputError(
            f"labels are from {int(targets.min())} to {int(targets.max())}; expected 0 to "
            f"{rows.shape[-1] - 1}, as there are {rows.shape[-1]} classes"
        )
    return rows.double().flatten(0, -2), targets.long().flatten()


def _tensor(values: Numbers) -> Tensor:
    # Lists by NumPy, which takes their numbers as Python's own, in float64.
    tensor = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    return tensor.detach().cpu()
