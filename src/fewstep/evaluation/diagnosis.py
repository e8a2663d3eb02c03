"""The diagnosis of a trained learner: its figures, and advice where one is out of line."""

import math
from dataclasses import asdict
from typing import Any

from fewstep.evaluation.conformal import LEVEL
from fewstep.evaluation.figures import Figures
from fewstep.evaluation.numbers import in_percent
from fewstep.evaluation.remedies import Finding, Remedy, advice
from fewstep.files import rounded
from fewstep.whole_numbers import counted

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
WORSENED, WORSENED_POINTS, FLUCTUATIONS = 0.05, 0.01, 5.0
"""The share of an error, and the accuracy, that validation may lose again after its best, and how
often the deviation of a single validation: the best of many is lucky."""
COVERED, FEW = 0.9, 20
"""Less than this share is too little for a 95% interval; of fewer tasks a quantile is rough."""
POOLED = Remedy("pooled", 0, "compare it with the pooled network (fewstep compare RUN)")
SMALLER_OUTER = Remedy("outer_lr", -1, "a smaller --outer-lr")


def findings(figures: Figures) -> list[str]:
    """One sentence for each figure that is out of line, with what to do; none where all is well.

    No two of them contradict one another.
    """
    diverges = _diverges(figures)
    # An inner loop that diverges raises every loss.
    worse = None if diverges else _worse(figures)
    worsened = _worsened(figures)
    plateau, gap = _far_from_a_plateau(figures), _gap(figures)
    if plateau and gap:
        # More steps help validation where it tells so, and else widen the gap.
        plateau, gap = (plateau, None) if _validation_improves(figures) else (None, gap)
    found = (
        _unfinished(figures),
        worsened,
        (not worsened and plateau)
        or (not (worse or gap) and _hardly_learned(figures, yet=not worsened)),
        not worsened and gap,
        _pretraining(figures),
        _gradient(figures),
        diverges or (not worse and _hardly_adapts(figures)),
        worse,
        _hardly_covers(figures),
    )
    unread = [f"of the training nothing is known: {figures.unread}"] if figures.unread else []
    return unread + advice([finding for finding in found if finding], figures.settings)


def diagnosis_as_json(figures: Figures) -> dict[str, Any]:
    """The figures and the findings as JSON values; what is not finite becomes None."""
    groups = {name: getattr(figures, name) for name in ("trend", "worsened", "covered")}
    named = {name: group and group._asdict() for name, group in groups.items()}
    plain = {**asdict(figures), **named}
    # They tell what is advised, and are no figures.
    for name in ("settings", "trainer", "unread"):
        del plain[name]
    told: dict[str, Any] = rounded(plain)
    return {**told, "findings": findings(figures)}


def _unfinished(f: Figures) -> Finding | None:
    if f.planned is None or f.trained is None:
        return None
    steps = f"{f.trained:,} of {f.planned:,} outer steps"
    if f.trainer:
        facts = f"the training is at {steps}, and {f.trainer} goes on with it"
        return Finding(facts, "", (Remedy("steps", 1, "evaluate again when that has ended"),))
    facts = f"the training stopped after {steps}"
    again = "train in the same run directory again: it goes on from there"
    return Finding(facts, "", (Remedy("steps", 1, again),))


def _worsened(f: Figures) -> Finding | None:
    if f.worsened is None or f.larger_is_better != (f.score == "accuracy"):
        return None
    best_step, steps, best, late, noise = f.worsened
    lost = best - late if f.larger_is_better else late - best
    least = WORSENED_POINTS if f.larger_is_better else WORSENED * abs(best)
    if best_step > steps / 2 or not lost > max(least, FLUCTUATIONS * noise):
        return None
    return Finding(
        f"validation {f.score} was best after step {best_step:,} of {steps:,} ({f.shown(best)}), "
        f"which is kept, and has got worse since ({f.shown(late)}): the network overfits the "
        "training tasks",
        "try",
        (
            Remedy("steps", -1, "fewer --steps (or --patience 5)"),
            Remedy("layers", -1, "--layers 0"),
            Remedy("width", -1, "a smaller --width"),
            Remedy("filters", -1, "fewer --filters"),
            Remedy("data", 1, "more training tasks"),
        ),
    )


def _far_from_a_plateau(f: Figures) -> Finding | None:
    if f.trend is None or f.planned is not None or f.larger_is_better != (f.score == "accuracy"):
        return None
    # Of an accuracy the shortfall is what is missing to perfect; an error is one itself.
    perfect = 1.0 if f.larger_is_better else 0.0
    before, after = abs(perfect - f.trend.before), abs(perfect - f.trend.after)
    if not (after < PLATEAU * before and before - after > 2 * f.trend.noise):
        return None
    facts = (
        f"{f.trend.split} {f.score} still improved in the last quarter of the training (from "
        f"{f.shown(f.trend.before)} to {f.shown(f.trend.after)}): it is far from a plateau"
    )
    return Finding(facts, "take", (Remedy("steps", 1, "more --steps"),))


def _validation_improves(f: Figures) -> bool:
    return f.trend is not None and f.trend.split == "validation"


def _hardly_learned(f: Figures, *, yet: bool) -> Finding | None:
    if f.before is None or f.gain_ci95 is None or f.support_loss_before == f.support_loss_after:
        return None
    gain = f.validation - f.before if f.larger_is_better else f.before - f.validation
    enough = GAIN if f.score == "accuracy" else GAIN_IN_ERROR * abs(f.before)
    if not gain + f.gain_ci95 < enough:
        return None
    facts = (
        f"adaptation takes the {f.score} of validation tasks from {f.shown(f.before)} to "
        f"{f.shown(f.validation)}"
    )
    if "pooled" in f.settings:
        return Finding(f"{facts}: tasks hardly differ, or it is not learned how", "", (POOLED,))
    remedies = Remedy("steps", 1, "more --steps"), Remedy("inner_lr", 0, "another --inner-lr")
    little = "little is learned yet" if yet else "it gains little"
    return Finding(f"{facts}: {little}", "take", remedies)


def _gap(f: Figures) -> Finding | None:
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
    return Finding(
        f"{score} is {f.shown(f.training)} on training {unit} and {f.shown(f.validation)} on "
        f"validation {unit}: the initialisation overfits",
        "",
        (
            Remedy("data", 1, "train on more data"),
            Remedy("steps", -1, "stop earlier (--patience 5)"),
        ),
    )


def _pretraining(f: Figures) -> Finding | None:
    if f.pretraining is None or f.classes is None:
        return None
    chance = 1 / f.classes
    if f.pretraining - chance > UNTRAINED * (1 - chance):
        return None
    facts = (
        f"accuracy in training is {in_percent(f.pretraining)} over {f.classes} classes, where "
        f"chance is {in_percent(chance)}: the network is hardly trained"
    )
    return Finding(facts, "take", (Remedy("steps", 1, "more --steps"),))


def _gradient(f: Figures) -> Finding | None:
    if f.gradient_norm is None or f.gradient_peak is None:
        return None
    smaller = Remedy("inner_lr", -1, "a smaller --inner-lr")
    if f.gradient_norm < VANISHED:
        facts = (
            f"the outer gradient has vanished (its norm is {f.gradient_norm:.1g}): nothing is "
            "learned any more"
        )
        fewer = Remedy("inner_steps", -1, "fewer --inner-steps")
        return Finding(facts, "try", (smaller, fewer, SMALLER_OUTER))
    if f.gradient_peak > JUMP * f.gradient_norm:
        facts = (
            f"the outer gradient jumps (norm {f.gradient_norm:.2g} at the median, "
            f"{f.gradient_peak:.2g} at its peak): training is unstable"
        )
        return Finding(facts, "try", (smaller, Remedy("meta_batch", 1, "a larger --meta-batch")))
    return None


def _diverges(f: Figures) -> Finding | None:
    before, after = f.support_loss_before, f.support_loss_after
    if not math.isfinite(before):
        facts = "the support loss is not finite before adaptation: the initialisation is of no use"
        return Finding(facts, "train again with", (SMALLER_OUTER,))
    # A learner without an inner loop has the same loss before and after.
    if before == after or not before > 0 or after < before:
        return None
    smaller = Remedy("inner_lr", -1, "a smaller --inner-lr")
    larger = Remedy("penalty", 1, "a larger --penalty")
    return Finding(f"{_change(f)}: the inner loop diverges", "try", (smaller, larger))


def _hardly_adapts(f: Figures) -> Finding | None:
    if not BARELY * f.support_loss_before < f.support_loss_after < f.support_loss_before:
        return None
    remedies = (
        Remedy("inner_lr", 1, "a larger --inner-lr"),
        Remedy("inner_steps", 1, "more --inner-steps"),
        Remedy("penalty", -1, "a smaller --penalty"),
    )
    return Finding(f"{_change(f)}: it hardly adapts", "try", remedies)


def _change(f: Figures) -> str:
    before, after = f.support_loss_before, f.support_loss_after
    return f"adaptation takes the support loss from {before:.2g} to {after:.2g}"


def _worse(f: Figures) -> Finding | None:
    if not f.worse - 1.96 * math.sqrt(f.worse * (1 - f.worse) / f.tasks) > WORSE:
        return None
    return Finding(
        f"adaptation raises the query loss of {100 * f.worse:.0f}% of the validation tasks: it "
        "overfits the support set",
        "",
        (
            Remedy("test_inner_steps", -1, "take fewer --test-inner-steps"),
            Remedy("inner_lr", -1, "take a smaller --inner-lr"),
            Remedy("penalty", 1, "take a larger --penalty"),
            Remedy("min_k_shot", -1, "train on fewer support rows, too (--min-k-shot 2)"),
            POOLED,
        ),
    )


def _hardly_covers(f: Figures) -> Finding | None:
    if f.covered is None:
        return None
    rows, share, ci95, tasks = f.covered
    if not share < COVERED or not (share + ci95 < LEVEL or tasks < FEW):
        return None
    of_rows = counted(rows, "row")
    known = counted(tasks, "validation task tells", "validation tasks tell")
    return Finding(
        f"the {LEVEL:.0%} interval with {of_rows} held {in_percent(share)} of the rows of test "
        f"tasks, and {known} its width: it is too narrow",
        "",
        (Remedy("data", 1, f"read it as one of {share:.0%}, or give more tasks"),),
    )
