"""The diagnosis of a trained learner: its figures, and advice where one is out of line."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from fewstep.evaluation.numbers import shown
from fewstep.files import rounded

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
GAIN, GAIN_IN_ERROR = 0.05, 0.1
"""Where adaptation surely gains less accuracy, or less of the error, little is learned."""
PLATEAU = 0.9
"""A shortfall that shrank below this share of itself in the last quarter was still shrinking."""


class Trend(NamedTuple):
    """The first metric near the end of a training.

    Attributes:
        split: Where it was measured: ``"validation"``, or ``"training"`` where that was too rare.
        before: Its mean in the quarter of the training before the last one.
        after: Its mean in the last quarter.
        noise: The standard error of the difference.
    """

    split: str
    before: float
    after: float
    noise: float


@dataclass(frozen=True)
class Figures:
    """Figures that a diagnosis rests on.

    Attributes:
        score: Name of the metric that the next four are of.
        training: Mean accuracy (or error) after adaptation on tasks of training classes; None where
            there are none of the same shots.
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
        before: The metric of the validation tasks before adaptation; None where it is not known.
        gain_ci95: Half the 95% interval of its change by adaptation.
        larger_is_better: Whether more of the metric is better.
        trained: Outer steps done; None where the run tells of none.
        planned: Outer steps of a training that has not come to its end; None where it has.
        trend: How the metric changed near the end; None where that is not known.
    """

    score: str
    training: float | None
    training_ci95: float | None
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
    before: float | None = None
    gain_ci95: float | None = None
    larger_is_better: bool = True
    trained: int | None = None
    planned: int | None = None
    trend: Trend | None = None

    def as_json(self) -> dict[str, Any]:
        """The figures and the findings as JSON values; what is not finite becomes None."""
        trend = self.trend and self.trend._asdict()
        told: dict[str, Any] = rounded({**asdict(self), "trend": trend})
        return {**told, "findings": findings(self)}


def findings(figures: Figures) -> list[str]:
    """One sentence for each figure that is out of line, with what to do; none where all is well."""
    found = (
        _unfinished(figures),
        _far_from_a_plateau(figures) or _hardly_learned(figures),
        _gap(figures),
        _gap_in_error(figures),
        _pretraining(figures),
        _gradient(figures),
        _inner_loss(figures),
        _worse(figures),
    )
    return [sentence for sentence in found if sentence]


def _unfinished(f: Figures) -> str | None:
    if f.planned is None or f.trained is None:
        return None
    return (
        f"the training stopped after {f.trained:,} of {f.planned:,} outer steps, so train in the "
        "same run directory again: it goes on from there"
    )


def _far_from_a_plateau(f: Figures) -> str | None:
    if f.trend is None or f.planned is not None:
        return None
    # Of an accuracy the shortfall is what is missing to perfect; an error is one itself.
    perfect = 1.0 if f.score == "accuracy" else 0.0
    if f.larger_is_better != (f.score == "accuracy"):
        return None
    before, after = abs(perfect - f.trend.before), abs(perfect - f.trend.after)
    if not (after < PLATEAU * before and before - after > 2 * f.trend.noise):
        return None
    was, now = shown(f.score, f.trend.before), shown(f.score, f.trend.after)
    return (
        f"{f.trend.split} {f.score} still improved in the last quarter of the training (from "
        f"{was} to {now}): it is far from a plateau, so take more --steps"
    )


def _hardly_learned(f: Figures) -> str | None:
    if f.before is None or f.gain_ci95 is None or f.support_loss_before == f.support_loss_after:
        return None
    gain = f.validation - f.before if f.larger_is_better else f.before - f.validation
    enough = GAIN if f.score == "accuracy" else GAIN_IN_ERROR * abs(f.before)
    if not gain + f.gain_ci95 < enough:
        return None
    return (
        f"adaptation takes the {f.score} of validation tasks from {shown(f.score, f.before)} to "
        f"{shown(f.score, f.validation)} alone: little is learned yet, so take more --steps or "
        "another --inner-lr"
    )


def _gap(f: Figures) -> str | None:
    if f.score != "accuracy" or f.training is None or f.training_ci95 is None:
        return None
    gap = f.training - f.validation
    if not gap - f.training_ci95 - f.validation_ci95 > GAP:
        return None
    return (
        f"accuracy is {shown(f.score, f.training)} on training classes and "
        f"{shown(f.score, f.validation)} on validation classes: {_OVERFITS}"
    )


def _gap_in_error(f: Figures) -> str | None:
    if f.larger_is_better or f.training is None or f.training_ci95 is None:
        return None
    # The intervals count here too: heavy tails of an error make few tasks uncertain.
    if not f.validation - f.validation_ci95 > GAP_IN_ERROR * (f.training + f.training_ci95):
        return None
    return (
        f"the error is {shown(f.score, f.training)} on training tasks and "
        f"{shown(f.score, f.validation)} on validation tasks: {_OVERFITS}"
    )


_OVERFITS = "the initialisation overfits, so train on more data, or stop earlier (--patience 5)"


def _pretraining(f: Figures) -> str | None:
    if f.pretraining is None or f.classes is None:
        return None
    chance = 1 / f.classes
    if f.pretraining - chance > UNTRAINED * (1 - chance):
        return None
    return (
        f"accuracy in training is {f.pretraining:.1%} over {f.classes} classes, where "
        f"chance is {chance:.1%}: the network is hardly trained, so take more --steps"
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
