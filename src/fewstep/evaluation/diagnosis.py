"""The diagnosis of a trained learner: its figures, and advice where one is out of line."""

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
    """The first metric near the end of a training."""

    split: str  # "validation", or "training" where that was measured too rarely
    before: float  # its mean in the quarter of the training before the last one
    after: float  # its mean in the last quarter
    noise: float  # the standard error of the difference


@dataclass(frozen=True)
class Figures:
    """Figures that a diagnosis rests on; None where something is not known."""

    score: str  # name of the metric that the next four are of: accuracy, or an error
    training: float | None  # after adaptation, on tasks of training classes of the same shots
    training_ci95: float | None  # half its 95% interval over tasks
    validation: float  # the same on tasks of validation classes
    validation_ci95: float
    support_loss_before: float  # of the validation tasks, before adaptation
    support_loss_after: float
    worse: float  # share of the validation tasks whose query loss adaptation raised
    gradient_norm: float | None  # median of the last ones before this initialisation was kept
    gradient_peak: float | None  # the greatest among them
    tasks: int  # of each split
    pretraining: float | None = None  # median accuracy in the last steps of ordinary training
    classes: int | None = None  # that ordinary training (finetune) tells apart
    before: float | None = None  # the metric of the validation tasks before adaptation
    gain_ci95: float | None = None  # half the 95% interval of its change by adaptation
    larger_is_better: bool = True
    trained: int | None = None  # outer steps done
    planned: int | None = None  # outer steps of a training that has not come to its end
    trend: Trend | None = None

    def as_json(self) -> dict[str, Any]:
        """The figures and the findings as JSON values; what is not finite becomes None."""
        trend = self.trend and self.trend._asdict()
        told: dict[str, Any] = rounded({**asdict(self), "trend": trend})
        return {**told, "findings": findings(self)}

    def shown(self, value: float) -> str:
        """A value of the metric, in a sentence."""
        return shown(self.score, value)


def findings(figures: Figures) -> list[str]:
    """One sentence for each figure that is out of line, with what to do; none where all is well."""
    found = (
        _unfinished(figures),
        _far_from_a_plateau(figures) or _hardly_learned(figures),
        _gap(figures),
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
    if f.trend is None or f.planned is not None or f.larger_is_better != (f.score == "accuracy"):
        return None
    # Of an accuracy the shortfall is what is missing to perfect; an error is one itself.
    perfect = 1.0 if f.larger_is_better else 0.0
    before, after = abs(perfect - f.trend.before), abs(perfect - f.trend.after)
    if not (after < PLATEAU * before and before - after > 2 * f.trend.noise):
        return None
    return (
        f"{f.trend.split} {f.score} still improved in the last quarter of the training (from "
        f"{f.shown(f.trend.before)} to {f.shown(f.trend.after)}): it is far from a plateau, so "
        "take more --steps"
    )


def _hardly_learned(f: Figures) -> str | None:
    if f.before is None or f.gain_ci95 is None or f.support_loss_before == f.support_loss_after:
        return None
    gain = f.validation - f.before if f.larger_is_better else f.before - f.validation
    enough = GAIN if f.score == "accuracy" else GAIN_IN_ERROR * abs(f.before)
    if not gain + f.gain_ci95 < enough:
        return None
    return (
        f"adaptation takes the {f.score} of validation tasks from {f.shown(f.before)} to "
        f"{f.shown(f.validation)} alone: little is learned yet, so take more --steps or another "
        "--inner-lr"
    )


def _gap(f: Figures) -> str | None:
    if f.training is None or f.training_ci95 is None:
        return None
    # The intervals count of an error, too: heavy tails make few tasks uncertain.
    best, worst = f.training + f.training_ci95, f.validation - f.validation_ci95
    ahead = f.training - f.validation - f.training_ci95 - f.validation_ci95
    if f.score == "accuracy" and ahead > GAP:
        score, unit = "accuracy", "classes"
    elif not f.larger_is_better and worst > GAP_IN_ERROR * best:
        score, unit = "the error", "tasks"
    else:
        return None
    return (
        f"{score} is {f.shown(f.training)} on training {unit} and {f.shown(f.validation)} on "
        f"validation {unit}: the initialisation overfits, so train on more data, or stop earlier "
        "(--patience 5)"
    )


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
