"""The outcome of each single task, and which classes were taken for which."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fewstep.choices import Norm
from fewstep.data.source import TaskSource
from fewstep.evaluation.evaluate import by_name, device_of
from fewstep.evaluation.task_sets import task_batches
from fewstep.learners.base import Evaluation, Learner


@dataclass(frozen=True)
class Answers:
    """The predictions for the query examples of a task.

    Attributes:
        labels: ``[examples]``, the right class of each by its number in the task.
        predicted: ``[examples]``, the class that was the likeliest.
        classes: ``[ways]``, the numbers of the task's classes in the data set.
    """

    labels: Tensor
    predicted: Tensor
    classes: Tensor


@dataclass(frozen=True)
class ByTask:
    """The outcome of tasks.

    Attributes:
        evaluation: Of all tasks; those of one name, as of a table, are one row of it.
        names: Of the rows of the evaluation where tasks have names, as those of a table.
        answers: Of each task; empty where no classes are predicted.
    """

    evaluation: Evaluation
    names: list[str] | None
    answers: list[Answers]

    def extremes(self, many: int, *, larger_is_better: bool) -> tuple[list[int], list[int]]:
        """The best and the worst rows, by the first metric after the last inner step.

        Args:
            many: Of each, at most; no row is in both.
            larger_is_better: Of the metric.

        Returns:
            Both with their extreme first; of equal ones the loss decides.
        """
        scores = self.evaluation.scores[:, -1] * (1 if larger_is_better else -1)
        losses = self.evaluation.losses[:, -1]
        rows = [
            number
            for number in range(len(scores))
            if bool(scores[number].isfinite()) and bool(losses[number].isfinite())
        ]
        order = sorted(rows, key=lambda n: (-float(scores[n]), float(losses[n])))
        half = len(order) // 2
        return order[: min(many, len(order) - half)], order[::-1][: min(many, half)]


def evaluate_by_task(
    learner: Learner,
    tasks: TaskSource,
    n: int,
    steps: int,
    norm: Norm,
    advance: Callable[[int], None] = lambda _: None,
) -> ByTask:
    """Evaluate on the first ``n`` tasks of a source, and keep what was predicted in each.

    ``advance`` is told how many tasks were done since its last call.
    """
    parts, answers = [], []
    for batch in task_batches(tasks, n):
        found = learner.evaluate(batch.to(device_of(learner)), steps, norm)
        parts.append(found)
        if found.predictions is not None:
            logits, labels = (part.cpu() for part in found.predictions)
            sizes = batch.query_sizes
            each = [batch.query_y.shape[1]] * len(batch) if sizes is None else sizes.tolist()
            ways = torch.arange(logits.shape[1]).expand(len(batch), -1)
            numbers = ways if batch.classes is None else batch.classes
            of_tasks = zip(
                torch.split(labels, each), torch.split(logits.argmax(1), each), numbers, strict=True
            )
            answers += [Answers(*of_task) for of_task in of_tasks]
        advance(len(batch))
    whole, names_of = Evaluation.cat(parts), getattr(tasks, "names_of", None)
    if names_of is None:
        return ByTask(whole, None, answers)
    names = names_of(range(n))
    return ByTask(by_name(whole, names), list(dict.fromkeys(names)), answers)


@dataclass(frozen=True)
class Confusion:
    """How often query examples of a class are taken for another one.

    Attributes:
        classes: Their numbers in the data set, in order; those that were asked for.
        counts: ``[classes, classes]``, examples of the row's class that were taken for the
            column's.
        asked: ``[classes, classes]``, examples of the row's class in tasks that have the column's.
    """

    classes: list[int]
    counts: Tensor
    asked: Tensor

    @property
    def rates(self) -> Tensor:
        """``[classes, classes]``, the share of the examples asked; NaN where there is none."""
        return self.counts / self.asked

    def worst(self, many: int) -> list[tuple[int, int]]:
        """The rows and columns of the pairs of two classes that are confused the most often.

        By the share, and of equal ones by how many examples it rests on; only what was confused.
        """
        order = torch.arange(len(self.classes))
        apart = order[:, None] != order[None]
        pairs = [(int(a), int(b)) for a, b in ((self.counts > 0) & apart).nonzero().tolist()]
        rates = self.rates
        pairs.sort(key=lambda p: (-float(rates[p]), -float(self.asked[p]), p))
        return pairs[:many]


def confusion(answers: Sequence[Answers]) -> Confusion:
    """The confusion of the classes of all tasks.

    >>> task = Answers(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), torch.tensor([7, 9]))
    >>> confusion([task]).rates.tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    every = sorted({int(c) for one in answers for c in one.classes})
    place = {number: at for at, number in enumerate(every)}
    counts, asked = torch.zeros(2, len(every), len(every))
    for one in answers:
        own = torch.tensor([place[int(c)] for c in one.classes])
        truth, taken = own[one.labels], own[one.predicted]
        ones = torch.ones(len(truth))
        counts.index_put_((truth, taken), ones, accumulate=True)
        for column in own:
            asked[:, column].index_add_(0, truth, ones)
    return Confusion(every, counts, asked)
