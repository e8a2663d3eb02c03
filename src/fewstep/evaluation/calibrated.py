"""The calibration of a learner's predictions, as they are and at a temperature."""

from dataclasses import dataclass

from fewstep.evaluation.calibration import Reliability, Threshold, at_temperature, reliability
from fewstep.evaluation.numbers import in_percent
from fewstep.learners.base import Predictions


@dataclass(frozen=True)
class Calibration:
    """Probabilities of some predictions, as they are and at a temperature.

    Attributes:
        temperature: What logits are divided by; from validation tasks.
        predictions: How many there are.
        ece_before: The expected calibration error, a fraction.
        ece_after: The same at the temperature.
        overconfidence: By how much they are surer than they are right, before; a fraction.
        threshold: For "none of these", on the largest probability at the temperature; with what
            it does on validation tasks.
        bins: Before and after; None of what was read from a file.
        unchosen: Why no temperature was chosen; the one of 1 changes nothing then.
    """

    temperature: float
    predictions: int
    ece_before: float
    ece_after: float
    overconfidence: float
    threshold: Threshold | None = None
    bins: tuple[Reliability, Reliability] | None = None
    unchosen: str = ""

    @property
    def has_temperature(self) -> bool:
        """Whether one was chosen; a file of an earlier version does not tell why there is none."""
        return not self.unchosen and self.temperature != 1

    def told(self, beside: str = "") -> str:
        """The expected calibration error, before and after; ``beside`` stands behind the first."""
        before = f"{in_percent(self.ece_before)}{beside}"
        if self.has_temperature:
            return f"{before}, {in_percent(self.ece_after)} at temperature {self.temperature:.2f}"
        why = f": {self.unchosen}" if self.unchosen else ""
        return f"{before}; no temperature was chosen{why}"


def calibrated_as(
    predictions: Predictions | None, chosen: Calibration | None
) -> Calibration | None:
    """The calibration of predictions at what was chosen on others; None where nothing was."""
    if chosen is None:
        return None
    return calibrated(predictions, chosen.temperature, chosen.threshold, chosen.unchosen)


def calibrated(
    predictions: Predictions | None,
    temperature: float,
    threshold: Threshold | None = None,
    unchosen: str = "",
) -> Calibration | None:
    """The calibration of predictions at a temperature; None where one is not finite, or of none."""
    if predictions is None or not predictions.logits.isfinite().all():
        return None
    logits, labels = predictions
    before, after = (
        reliability(at_temperature(logits, divisor), labels) for divisor in (1.0, temperature)
    )
    return Calibration(
        temperature,
        labels.numel(),
        before.error,
        after.error,
        before.overconfidence,
        threshold,
        (before, after),
        unchosen,
    )
