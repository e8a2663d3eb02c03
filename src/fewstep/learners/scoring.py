"""How well a task is solved, as a number for people."""

from __future__ import annotations

from torch import Tensor

IGNORED = -100
"""The label that PyTorch's losses leave out, unless told otherwise."""


def score(prediction: object, target: Tensor, loss: Tensor, ignored: int = IGNORED) -> Tensor:
    """Accuracy where the target is a class, else the loss: a scalar without a graph.

    Args:
        prediction: ``[examples, classes]`` in a classification.
        target: ``[examples]``, integers in a classification.
        loss: What to fall back on.
        ignored: The label that does not count; where there is no other, the accuracy is NaN, as
            the loss is.
    """
    if isinstance(prediction, Tensor) and not target.is_floating_point() and prediction.dim() > 1:
        return (prediction.argmax(1) == target).float().sum() / (target != ignored).float().sum()
    return loss.detach()


def ignored_label(loss: object) -> int:
    """The label of targets that do not count in a loss."""
    return int(getattr(loss, "ignore_index", IGNORED))
