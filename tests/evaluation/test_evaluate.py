"""Mean and interval are over tasks, and parameters that are lent come back."""

import math

import pytest
import torch
from torch import nn

from fewstep.evaluation.evaluate import borrowed, evaluate_tasks, interval, means
from fewstep.learners.base import Evaluation


class Counted:
    """Stands for sampler and learner: the score of task i after s steps is i + s."""

    def named_parameters(self):
        return iter(())

    def batch(self, indices):
        return torch.tensor([[float(i)] for i in indices])

    def evaluate(self, tasks, steps, norm):
        scores = tasks + torch.arange(steps + 1.0)
        return Evaluation(2 * scores, {"score": scores})


def test_every_task_counts_once():
    counted, done = Counted(), []
    result = means(evaluate_tasks(counted, counted, 45, 2, "transductive", done.append))
    assert result.score.mean == result.metrics["score"].mean == [22.0, 23.0, 24.0]
    assert result.loss.mean == [44.0, 46.0, 48.0]
    assert sum(done) == result.tasks == 45


def test_the_interval_is_196_standard_errors_over_tasks():
    scores = torch.tensor([[0.0], [1.0], [1.0], [0.0]], dtype=torch.float64)
    assert interval(scores).item() == pytest.approx(1.96 * math.sqrt(1 / 3) / 2)
    assert interval(scores[:1]).isnan().all()


def test_borrowed_parameters_come_back_even_after_an_error():
    layer = nn.Linear(2, 1)
    own = {name: p.detach().clone() for name, p in layer.named_parameters()}
    other = {name: torch.full_like(p, 7.0) for name, p in own.items()}
    with pytest.raises(RuntimeError), borrowed(dict(layer.named_parameters()), other):
        assert (layer.weight == 7).all()
        raise RuntimeError
    assert all(torch.equal(p, own[name]) for name, p in layer.named_parameters())
