"""Initialisations to adapt from, and the probabilities that each gives a picture, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewstep.data.preparation import Preparation
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.protomaml import ProtoMAML
from fewstep.learners.protonet import ProtoNet
from fewstep.tasks import TaskBatch

STEPS = 10


@dataclass(frozen=True, eq=False)
class Start:
    """An initialisation to adapt from.

    Attributes:
        name: How the page calls it.
        learner: With that initialisation, of a classification. It is not changed.
        preparation: How a picture becomes an example of it.
        most: The inner steps that it can take; fewer where something was learned for each.
    """

    name: str
    learner: Learner
    preparation: Preparation
    most: int = STEPS
    _of_ways: dict[int, tuple[Learner, str]] = field(default_factory=dict, repr=False)

    def answer(
        self, support: Sequence[bytes], labels: Sequence[int], query: bytes
    ) -> dict[str, Any]:
        """The probability of each class after 0, 1, ... inner steps, as JSON values.

        Args:
            support: Pictures to learn from, as files are.
            labels: The class of each, 0, 1, ... without a gap.
            query: The picture that is asked for.

        Raises:
            InputError: A picture cannot be read, or so many classes cannot be learned.
        """
        ways = max(labels) + 1
        learner, note = self._for_ways(ways)
        x = self._examples([*support, query])
        y = torch.tensor(labels, device=x.device)
        # The label of the query counts in its loss alone, which nobody asks for.
        tasks = TaskBatch(x[None, :-1], y[None], x[None, -1:], y[None, :1])
        # All steps in one pass of the inner loop, as an evaluation measures them.
        temperature = self.learner.temperature
        asked = {str(c): partial(_probability, of=c, temperature=temperature) for c in range(ways)}
        measured = learner.with_metrics(asked).evaluate(tasks, self._steps(learner), "inductive")
        steps = torch.stack([measured.metrics[name][0] for name in asked], 1).tolist()
        # What it was trained for stands in front, and random weights were not.
        return {"name": self.name, "note": note.partition(": ")[2] or note, "steps": steps}

    def _examples(self, pictures: Sequence[bytes]) -> Tensor:
        # A copy: of a picture that is of this size already, the pixels may not be written.
        pixels = torch.from_numpy(np.stack([self.preparation(one) for one in pictures]))
        return pixels.to(next(self.learner.parameters()).device).float() / 255

    def _for_ways(self, ways: int) -> tuple[Learner, str]:
        if ways not in self._of_ways:
            learner, note = for_ways(self.learner, ways)
            self._of_ways[ways] = (
                learner.few_shot() if isinstance(learner, FineTune) else learner,
                note,
            )
        return self._of_ways[ways]

    def _steps(self, learner: Learner) -> int:
        if isinstance(learner, ProtoNet):
            return 0
        # From prototypes nothing that was learned for each step is used.
        stands_in = isinstance(learner, ProtoMAML) and not isinstance(self.learner, ProtoMAML)
        return STEPS if stands_in else self.most


def _probability(prediction: Tensor, _target: Tensor, *, of: int, temperature: float) -> float:
    return float((prediction[0].double() / temperature).softmax(-1)[of])
