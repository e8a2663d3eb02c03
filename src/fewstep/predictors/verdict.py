"""How well an adapted model does, beside its rivals, as far as its own examples tell."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import Tensor

from fewstep.errors import InputError
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.predictors.outputs import device_of
from fewstep.predictors.rivals import judge_of, rivals_of, share_right
from fewstep.predictors.teaching import Teaching
from fewstep.predictors.trials import leaving_one_out, of_one_example, to_leave_out, with_query
from fewstep.tasks import TaskBatch


@dataclass(frozen=True)
class Verdict:
    """Accuracies of a model and its rivals on the same pictures.

    Attributes:
        accuracy: A fraction.
        examples: How many were predicted.
        rivals: By the keys of `RIVALS`; None where its loss diverges.
        left_out: Whether each example was a support example that was left out.
    """

    accuracy: float
    examples: int
    rivals: dict[str, float | None] = field(default_factory=dict)
    left_out: bool = False

    @property
    def right(self) -> int:
        """How many examples were predicted right."""
        return round(self.accuracy * self.examples)

    @property
    def winner(self) -> tuple[str, float] | None:
        """The best rival and its accuracy, where that is more than the model's."""
        known = {name: share for name, share in self.rivals.items() if share is not None}
        best = max(known, key=known.__getitem__, default=None)
        return None if best is None or known[best] <= self.accuracy else (best, known[best])


def by_query(
    learner: Learner, known: Teaching, predicted: list[int], query_x: Tensor, truth: list[int]
) -> Verdict:
    """The accuracy of predictions for a query set, beside rivals with the same support set."""
    device = device_of(learner)
    x, y, asked = (part.to(device) for part in (known.support_x, known.support_y, query_x))
    labels = y.new_tensor(truth)
    right = sum(one == other for one, other in zip(predicted, truth, strict=True))
    rivals = _rivals(learner, y, lambda: with_query(x, y, asked, labels))
    return Verdict(right / len(truth), len(truth), rivals)


def by_leaving_one_out(learner: Learner, known: Teaching, steps: int) -> Verdict:
    """The accuracy for support examples, each predicted by what the others teach.

    Raises:
        InputError: A class has a single example, or the loss is not finite.
    """
    device = device_of(learner)
    x, y = known.support_x.to(device), known.support_y.to(device)
    if of_one_example(y):
        raise InputError("a class has a single picture; leaving it out needs two of each class")
    chosen = to_leave_out(y)

    def tasks() -> Iterable[TaskBatch]:
        return leaving_one_out(x, y, chosen)

    fitting, _ = for_ways(learner, int(y.max()) + 1)
    accuracy = share_right(judge_of(fitting, steps), tasks())
    if accuracy is None:
        raise InputError("the loss is not finite where one picture is left out")
    return Verdict(accuracy, len(chosen), _rivals(learner, y, tasks), left_out=True)


def _rivals(
    learner: Learner, y: Tensor, tasks: Callable[[], Iterable[TaskBatch]]
) -> dict[str, float | None]:
    judges = rivals_of(learner, int(y.max()) + 1)
    return {name: share_right(judge, tasks()) for name, judge in judges.items()}
