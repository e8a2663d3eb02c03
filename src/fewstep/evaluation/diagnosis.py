"""The diagnosis of a trained learner: its figures, and advice where one is out of line."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

GAP, GAP_IN_ERROR = 0.1, 1.5
"""The most that training classes may be ahead in accuracy, and the most times in error."""
JUMP, VANISHED = 20.0, 1e-7
"""How far above its median the outer gradient may go, and where it is as good as zero."""
BARELY = 0.9
"""An inner loop that leaves more of the support loss than this hardly adapts."""
WORSE = 0.1
"""The largest share of tasks that adaptation may make worse."""
UNTRAINED = 0.05
"""Ordinary training that came no further than this from chance to perfect has hardly begun."""


@dataclass(frozen=True)
class Figures:
    """What a diagnosis rests on.

    Attributes:
        score: Name of the metric that the next four are of.
        training: Mean accuracy (or error) after adaptation on tasks of training classes.
        training_ci95: Half its 95% interval over tasks.
        validation: The same on tasks of validation classes, of the same shots.
        validation_ci95: Half its 95% interval.
        support_loss_before: Mean support loss of the validation tasks before adaptation.
        support_loss_after: After it.
        worse: Share of the validation tasks whose query loss adaptation raised.
        gradient_norm: Median length of the outer gradient in the last outer steps before this
            initialisation was kept; None where the run tells of none.
        gradient_peak: The greatest length among them.
        tasks: How many tasks of each split.
        pretraining: Median accuracy of ordinary training (finetune) over all of its classes in the
            last outer steps; None for other algorithms, or where the run tells of none.
        classes: How many classes those are.
        larger_is_better: Whether more of the score is better.
    """

    score: str
    training: float
    training_ci95: float
    validation: float
    validation_ci95: float
    support_loss_before: float
    support_loss_after: float
    worse: float
    gradient_norm: float | None
    gradient_peak: float | None
    tasks: int
    pretraining: float | None = None
    classes: int | None = None
    larger_is_better: bool = True

    def as_json(self) -> dict[str, Any]:
        """The figures and the findings as JSON values; what is not finite becomes None."""
        told = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }
        return {**told, "findings": findings(self)}


def findings(figures: Figures) -> list[str]:
    """One sentence for each figure that is out of line, with what to do; none where all is well."""
    found = (
        _gap(figures),
        _gap_in_error(figures),
        _pretraining(figures),
        _gradient(figures),
        _inner_loss(figures),
        _worse(figures),
    )
    return [sentence for sentence in found if sentence]


def _gap(f: Figures) -> str | None:
    gap = f.training - f.validation
    if f.score != "accuracy" or not gap - f.training_ci95 - f.validation_ci95 > GAP:
        return None
    return (
        f"accuracy is {100 * f.training:.0f}% on training classes and {100 * f.validation:.0f}% on "
        f"validation classes: the initialisation overfits, so {_AGAINST_OVERFITTING}"
    )


def _gap_in_error(f: Figures) -> str | None:
    # The intervals count here too: heavy tails of an error make few tasks uncertain.
    if f.larger_is_better or not f.validation - f.validation_ci95 > GAP_IN_ERROR * (
        f.training + f.training_ci95
    ):
        return None
    return (
        f"the error is {f.training:.2g} on training tasks and {f.validation:.2g} on validation "
        f"tasks: the initialisation overfits, so {_AGAINST_OVERFITTING}"
    )


_AGAINST_OVERFITTING = (
    "train on more classes (--rotations makes four of each) or stop earlier (--patience 5)"
)


def _pretraining(f: Figures) -> str | None:
    if f.pretraining is None or f.classes is None:
        return None
    chance = 1 / f.classes
    if f.pretraining - chance > UNTRAINED * (1 - chance):
        return None
    return (
        f"accuracy in training is {100 * f.pretraining:.1f}% over {f.classes} classes, where "
        f"chance is {100 * chance:.1f}%: the network is hardly trained, so take more --steps"
    )


def _gradient(f: Figures) -> str | None:
    if f.gradient_norm is None or f.gradient_peak is None:
        return None
    if f.gradient_norm < VANISHED:
        return (
            f"the outer gradient has vanished (its norm is {f.gradient_norm:.1g}): nothing is "
            "learned any more, so try a smaller --inner-lr or fewer --inner-steps"
        )
    if f.gradient_peak > JUMP * f.gradient_norm:
        return (
            f"the outer gradient jumps (norm {f.gradient_norm:.2g} at the median, "
            f"{f.gradient_peak:.2g} at its peak): training is unstable, so try a smaller "
            "--inner-lr or a larger --meta-batch"
        )
    return None


def _inner_loss(f: Figures) -> str | None:
    before, after = f.support_loss_before, f.support_loss_after
    if not math.isfinite(before):
        return (
            "the support loss is not finite before adaptation: the initialisation is of no use, "
            "so train again with a smaller --outer-lr"
        )
    # A learner without an inner loop has the same loss before and after.
    if before == after or not before > 0:
        return None
    change = f"adaptation takes the support loss from {before:.2g} to {after:.2g}"
    if not after < before:
        return f"{change}: the inner loop diverges, so try a smaller --inner-lr"
    if after > BARELY * before:
        return f"{change}: it hardly adapts, so try a larger --inner-lr or more --inner-steps"
    return None


def _worse(f: Figures) -> str | None:
    if not f.worse - 1.96 * math.sqrt(f.worse * (1 - f.worse) / f.tasks) > WORSE:
        return None
    return (
        f"adaptation makes {100 * f.worse:.0f}% of the tasks worse: it overfits the support set, "
        "so take fewer --test-inner-steps or a smaller --inner-lr"
    )
