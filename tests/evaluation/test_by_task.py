"""Tasks by themselves: the best, the worst, and which classes are taken for which."""

from dataclasses import dataclass

import torch

from fewstep.data.source import TaskSource, TaskSpec
from fewstep.evaluation.by_task import Answers, ByTask, confusion, evaluate_by_task
from fewstep.evaluation.evaluate import evaluate_tasks
from fewstep.learners.base import Evaluation
from fewstep.learners.maml import MAML
from fewstep.tasks import TaskBatch


@dataclass(frozen=True)
class Uneven(TaskSource):
    """Tasks of two of five classes, whose query sets have two or three examples."""

    k_shot: int = 1
    q_query: int = 3
    spec = TaskSpec.classification((2,), 2)

    def batch(self, indices):
        rows = []
        for index in indices:
            random = torch.Generator().manual_seed(index)
            x, queries = torch.randn(6, 2, generator=random), 2 + index % 2
            labels = torch.tensor([0, 1, 1])[:queries]
            rows.append((x[:2], torch.tensor([0, 1]), x[2 : 2 + queries], labels))
        tasks = TaskBatch.stack(rows)
        classes = torch.tensor([[index % 5, (index + 1) % 5] for index in indices])
        parts = (tasks.support_x, tasks.support_y, tasks.query_x, tasks.query_y)
        return TaskBatch(*parts, classes, tasks.support_sizes, tasks.query_sizes)


def test_answers_are_those_of_each_task():
    learner, tasks = MAML(torch.nn.Linear(2, 2), inner_lr=0.5), Uneven()
    found = evaluate_by_task(learner, tasks, 30, 2, "inductive")
    whole = evaluate_tasks(learner, tasks, 30, 2, "inductive")
    assert torch.equal(found.evaluation.losses, whole.losses)
    assert [len(one.labels) for one in found.answers] == [2, 3] * 15
    right = torch.stack([(a.labels == a.predicted).float().mean() for a in found.answers])
    torch.testing.assert_close(right, whole.scores[:, -1].float())
    assert found.answers[7].classes.tolist() == [2, 3]


def test_best_and_worst_tasks_by_score_then_loss():
    losses = torch.tensor([[1.0], [2.0], [0.5], [torch.nan], [3.0]])
    scores = torch.tensor([[0.5], [0.5], [0.9], [1.0], [0.1]])
    tasks = ByTask(Evaluation(losses, {"accuracy": scores}), None, [])
    assert tasks.extremes(2, larger_is_better=True) == ([2, 0], [4, 1])
    errors = ByTask(Evaluation(losses, {"rmse": losses}), None, [])
    assert errors.extremes(9, larger_is_better=False) == ([2, 0], [4, 1])
    alone = ByTask(Evaluation(losses[:1], {"accuracy": scores[:1]}), None, [])
    assert alone.extremes(2, larger_is_better=True) == ([0], [])


def test_confusion_counts_only_tasks_with_both_classes():
    labels, right, wrong = (torch.tensor(of) for of in ([0, 1], [0, 1], [1, 1]))
    both, other = torch.tensor([4, 9]), torch.tensor([9, 2])
    found = confusion([Answers(labels, wrong, both), Answers(labels, right, other)])
    assert found.classes == [2, 4, 9]
    # Class 4 was once asked for beside 9, and taken for it; never beside 2.
    assert found.rates[1, 2] == 1
    assert found.rates[1, 0].isnan()
    assert (found.asked[2, 2], found.asked[2, 1]) == (2, 1)
    assert found.worst(5) == [(1, 2)]
