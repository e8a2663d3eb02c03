"""The outcome of an adaptation to pictures, as text and as JSON values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewstep.config.algorithms import steps_in_words
from fewstep.config.schema import Config, batch_norm
from fewstep.evaluation.numbers import in_percent, share_interval
from fewstep.files import rounded
from fewstep.predictors.adapted_dir import PICTURE
from fewstep.predictors.classifier import AdaptedClassifier, Label
from fewstep.predictors.rivals import RIVALS
from fewstep.predictors.verdict import Verdict
from fewstep.report.adapted_from import protocol_as_json
from fewstep.report.columns import in_columns
from fewstep.report.predictions import Prediction, prediction_lines
from fewstep.whole_numbers import counted

THIS = "this model, adapted"
MOST_NAMED = 12  # classes


@dataclass(frozen=True)
class Adaptation:
    """An adaptation and what it came to.

    Attributes:
        config: Of the run that was adapted.
        adapted: The model.
        predictions: One for each query picture.
        verdict: The accuracy beside the rivals', or why it is not known.
        notes: What a user should know of the pictures: those left out, and those given twice.
    """

    config: Config
    adapted: AdaptedClassifier
    predictions: list[Prediction]
    verdict: Verdict | str
    notes: list[str]

    @property
    def shots(self) -> dict[Label, int]:
        """How many support pictures each class has."""
        shots = self.adapted.about["protocol"]["shots"]
        return dict(zip(self.adapted.classes, shots, strict=True))


def as_lines(
    done: Adaptation, run: Path, query: Path | None, out: Path | None, width: int
) -> Iterator[str]:
    """All that is told of an adaptation, for a terminal of this width."""
    yield learned(done.shots)
    if note := done.adapted.about["protocol"]["note"]:
        yield f"{run}: {note}"
    if done.predictions:
        yield ""
        yield from prediction_lines(done.predictions, width, query)
    yield ""
    if isinstance(done.verdict, Verdict):
        yield accuracy_line(done.verdict)
        yield ""
        yield from rival_lines(done.verdict, width)
    else:
        yield f"no accuracy: {done.verdict}, or --query with one subfolder for each class"
    yield ""
    yield protocol_line(done, run)
    if out is not None:
        yield f"saved: {out} (fewstep predict {out} FILE ...), picture: {out / PICTURE}"


def protocol_line(done: Adaptation, run: Path) -> str:
    """The line that belongs under every number."""
    counts, protocol = done.shots.values(), done.adapted.about["protocol"]
    least, most = min(counts), max(counts)
    shots = f"{least}-shot" if least == most else f"{least} to {most} shots"
    steps = protocol["inner_steps"]
    return (
        f"{len(counts)}-way, {shots}; {steps_in_words(done.config.algorithm, steps)}; "
        f"{batch_norm(done.config, protocol['norm'])}; one model, {run}, "
        f"{done.config.algorithm}, seed {done.config.seed}"
    )


def learned(shots: Mapping[Any, int]) -> str:
    """The sentence that says which classes were learned, and from how many pictures."""
    total = sum(shots.values())
    pictures = counted(total, "picture")
    if len(shots) <= MOST_NAMED:
        told = ", ".join(f"{name} {count}" for name, count in shots.items())
    else:
        least, most = min(shots.values()), max(shots.values())
        told = f"{least} each" if least == most else f"{least} to {most} each"
    return f"learned {len(shots)} classes from {pictures}: {told}"


def accuracy_line(verdict: Verdict) -> str:
    """The accuracy, of what, and how sure it is."""
    low, high = share_interval(verdict.right, verdict.examples)
    what = "support pictures, each left out in turn" if verdict.left_out else "query pictures"
    return (
        f"accuracy {in_percent(verdict.right / verdict.examples)} of {verdict.examples} {what} "
        f"(95% interval {in_percent(low)} to {in_percent(high)})"
    )


def rival_lines(verdict: Verdict, width: int) -> Iterator[str]:
    """A table of the model and its rivals, and a sentence that says who does best."""
    every = {THIS: verdict.right, **{RIVALS[name]: n for name, n in verdict.rivals.items()}}
    rows = [
        [name, "diverges" if right is None else in_percent(right / verdict.examples)]
        for name, right in every.items()
    ]
    yield from in_columns(["from the same support pictures", "accuracy"], rows, width)
    yield winner_sentence(verdict)


def winner_sentence(verdict: Verdict) -> str:
    """Who does best, and whether so few pictures settle that."""
    name, right = verdict.best_rival
    if right == verdict.right:
        return f"{RIVALS[name]} does as well here"
    more, most = sorted([right, verdict.right])
    settled = share_interval(most, verdict.examples)[0] > more / verdict.examples
    who = f"{RIVALS[name]} does better" if right > verdict.right else "this model does best"
    return f"{who} here" + ("" if settled else f", which {verdict.examples} pictures do not settle")


def as_json(done: Adaptation, run: Path, out: Path | None) -> dict[str, Any]:
    """The same as JSON values; the accuracy is that of query pictures, if their classes are known.

    ``leave_one_out`` is that of support pictures that were left out in turn.
    """
    verdict = done.verdict if isinstance(done.verdict, Verdict) else None
    of_query = verdict is not None and not verdict.left_out
    share = verdict.right / verdict.examples if verdict else None
    protocol = done.adapted.about["protocol"]
    told = {
        "predictions": [one.as_json() for one in done.predictions],
        "accuracy": share if of_query else None,
        "leave_one_out": None if of_query else share,
        "examples": verdict.examples if verdict else None,
        "interval95": share_interval(verdict.right, verdict.examples) if verdict else None,
        "rivals": verdict
        and {
            name: None if right is None else right / verdict.examples
            for name, right in verdict.rivals.items()
        },
        "classes": list(done.adapted.classes),
        "temperature": done.adapted.temperature,
        **protocol_as_json(done.config, protocol, run, out),
        "notes": [*done.notes, *([done.verdict] if isinstance(done.verdict, str) else [])],
    }
    result: dict[str, Any] = rounded(told)
    return result
