"""The metrics of a source of tasks, for a learner that was given none of its own."""

import torch

from fewstep.data.source import TaskSpec
from fewstep.learners.base import Learner
from fewstep.metagrad.masking import mark_of
from fewstep.metagrad.metrics import is_of_classes


def in_unit_of(learner: Learner, *sources: object) -> Learner:
    """The learner with the metrics of the first source that has some, as an error in its unit.

    It shares everything with the learner, which stays as it is. The learner itself is returned
    where it has metrics of its own, or a loss of one's own: nobody knows then what it predicts.
    """
    specs = (spec_of(source) for source in sources)
    spec = next((spec for spec in specs if spec and spec.metrics), None)
    if (
        spec is None
        or not spec.metrics
        or not isinstance(learner, Learner)
        or getattr(learner, "metrics", ()) is not None
    ):
        return learner
    loss = getattr(learner, "loss", None)
    if spec.kind == "classification":
        known = is_of_classes(loss)
    else:
        known = mark_of(loss, torch.zeros(1)) is not None
    return learner.with_metrics(spec.metrics) if known or loss is spec.loss else learner


def spec_of(source: object) -> TaskSpec | None:
    """The form of a source's tasks; None of tasks that are no source."""
    spec = getattr(source, "spec", None)
    return spec if isinstance(spec, TaskSpec) else None
