"""The figures that a diagnosis of a trained learner rests on."""

from dataclasses import dataclass
from typing import NamedTuple

from fewstep.evaluation.numbers import shown
from fewstep.evaluation.remedies import INNER_LOOP


class Trend(NamedTuple):
    """The first metric near the end of a training."""

    split: str  # "validation", or "training" where that was measured too rarely
    before: float  # its mean in the quarter of the training before the last one
    after: float  # its mean in the last quarter
    noise: float  # the standard error of the difference


class Worsened(NamedTuple):
    """The first metric of validation after its best, which is kept."""

    best_step: int
    steps: int  # outer steps of the last validation
    best: float
    late: float  # its mean in the last quarter of all validations
    noise: float  # the standard deviation of a single validation, without what drifts


class Covered(NamedTuple):
    """How often the 95% interval of a table's predictions holds on test tasks."""

    rows: int  # support rows
    share: float  # of the query rows of test tasks
    ci95: float  # half its interval over test tasks
    tasks: int  # validation tasks that tell the width of the interval


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
    trainer: str | None = None  # the process that goes on with it, if one is known to
    unread: str = ""  # why nothing is known of how the training went, if that is so
    trend: Trend | None = None
    worsened: Worsened | None = None
    covered: Covered | None = None
    settings: frozenset[str] = INNER_LOOP  # that have an effect here, of those of remedies

    def shown(self, value: float) -> str:
        """A value of the metric, in a sentence."""
        return shown(self.score, value)
