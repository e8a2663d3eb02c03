"""How well a model does beside its rivals, as far as its own pictures tell."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import Tensor

from fewstep.errors import InputError
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.predictors.outputs import device_of
from fewstep.predictors.rivals import count_right, method_of, rivals_of
from fewstep.predictors.teaching import Teaching
from fewstep.predictors.trials import Trial, leaving_one_out, of_one_example


@dataclass(frozen=True)
class Verdict:
    """How many of the same pictures a model and its rivals classify right.

    Attributes:
        right: By the model.
        examples: Of how many.
        rivals: By the keys of `RIVALS`; None where its loss diverges.
        left_out: Whether the examples are of the support set, each predicted without it.
    """

    right: int
    examples: int
    rivals: dict[str, int | None] = field(default_factory=dict)
    left_out: bool = False

    @property
    def best_rival(self) -> tuple[str, int]:
        """The best rival, and how many it classifies right."""
        known = {name: right for name, right in self.rivals.items() if right is not None}
        return max(known.items(), key=lambda pair: pair[1])


def by_query(
    learner: Learner, known: Teaching, predicted: list[int], query_x: Tensor, truth: list[int]
) -> Verdict:
    """The predictions for a query set, beside those of rivals with the same support set."""
    device = device_of(learner)
    x, y, asked = (part.to(device) for part in (known.support_x, known.support_y, query_x))
    labels = y.new_tensor(truth)
    right = sum(one == other for one, other in zip(predicted, truth, strict=True))
    rivals = _rivals(learner, y, lambda: [Trial(x, y, asked, labels)])
    return Verdict(right, len(truth), rivals)


def by_leaving_one_out(learner: Learner, known: Teaching, steps: int) -> Verdict:
    """Predictions for support examples, each without its part in the adaptation.

    Raises:
        InputError: A class has a single example, or the loss is not finite.
    """
    device = device_of(learner)
    x, y = known.support_x.to(device), known.support_y.to(device)
    if of_one_example(y):
        raise InputError("a class has a single picture; give two or more pictures of each class")
    fitting, _ = for_ways(learner, int(y.max()) + 1)
    right = count_right(method_of(fitting, steps), leaving_one_out(x, y))
    if right is None:
        raise InputError(
            "the loss is not finite where a picture is left out; give more pictures of each class"
        )
    examples = sum(len(trial.query_y) for trial in leaving_one_out(x, y))
    rivals = _rivals(learner, y, lambda: leaving_one_out(x, y))
    return Verdict(right, examples, rivals, left_out=True)


def _rivals(
    learner: Learner, y: Tensor, trials: Callable[[], Iterable[Trial]]
) -> dict[str, int | None]:
    methods = rivals_of(learner, int(y.max()) + 1)
    return {name: count_right(method, trials()) for name, method in methods.items()}
