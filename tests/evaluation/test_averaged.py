"""The average of several initialisations: the mean of what each adapts to."""

import pytest
import torch
from torch import nn

import fewstep
from fewstep import InputError
from fewstep.evaluation.averaged import evaluate_average
from fewstep.evaluation.evaluate import evaluate_tasks
from fewstep.learners.base import Learner


def tasks(number=3):
    torch.manual_seed(1)
    x, y = torch.randn(number, 6, 4), torch.arange(6).remainder(3).expand(number, -1)
    return fewstep.TaskBatch(
        x, y, torch.randn(number, 9, 4), torch.arange(9).remainder(3).expand(number, -1)
    )


def learner_of(model, **more):
    return fewstep.MAML(model, inner_lr=0.5, **more)


def test_it_is_the_mean_of_the_logits_after_adaptation():
    torch.manual_seed(0)
    models = [nn.Linear(4, 3) for _ in range(5)]
    values = [{f"model.{n}": p.detach() for n, p in m.named_parameters()} for m in models]
    learner = learner_of(nn.Linear(4, 3))
    names = [name for name, _ in learner.named_parameters()]
    values = [dict(zip(names, of.values(), strict=True)) for of in values]
    before = {n: p.detach().clone() for n, p in learner.named_parameters()}
    told = []
    found = evaluate_average(learner, values, tasks(), 3, 2, "transductive", told.append)
    each = [evaluate_tasks(learner_of(m), tasks(), 3, 2, None).predictions for m in models]
    mean = sum(one.logits for one in each) / 5
    torch.testing.assert_close(found.predictions.logits, mean)
    right = (mean.argmax(1) == each[0].labels).float().reshape(3, 9).mean(1, keepdim=True)
    torch.testing.assert_close(found.metrics["accuracy"], right)
    assert found.losses.shape == (3, 1)
    assert sum(told) == 15
    assert all(torch.equal(p, before[n]) for n, p in learner.named_parameters())


def test_one_that_does_not_classify():
    learner = fewstep.MAML(nn.Linear(4, 1), loss="mse")
    x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 1)
    numbers = fewstep.TaskBatch(x, y, x, y)
    values = [{n: p.detach() for n, p in learner.named_parameters()}]
    assert isinstance(learner, Learner)
    with pytest.raises(InputError, match="no logits to average"):
        evaluate_average(learner, values, numbers, 2, 1, "transductive")
