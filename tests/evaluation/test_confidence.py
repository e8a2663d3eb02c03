"""Choices on validation tasks, for a learner whose probabilities are known."""

import pytest
import torch

from fewstep.data.sinusoid import SinusoidSampler
from fewstep.evaluation.absent import ABSENT
from fewstep.evaluation.confidence import TASKS, choose
from fewstep.learners.base import Evaluation, Predictions

from .shades import sampler


class Known:
    """Right in three of four, far too sure; hardly sure of what is of no class."""

    def __init__(self, scale=4.0, broken=False, wrong=True):
        self.scale, self.broken, self.wrong, self.asked = scale, broken, wrong, []

    def named_parameters(self):
        return iter(())

    def evaluate(self, tasks, steps, norm):
        self.asked.append((len(tasks), steps, norm, bool((tasks.query_y == ABSENT).any())))
        labels = tasks.query_y
        guess = labels.clamp(min=0)
        wrong = torch.arange(guess.numel()).view_as(guess) % 4 == 0
        guess = torch.where(wrong & self.wrong, (guess + 1) % 3, guess)
        logits = self.scale * torch.nn.functional.one_hot(guess, 3).float()
        logits[labels == ABSENT] *= 0.1
        if self.broken:
            logits[0, 0, 0] = float("nan")
        losses = torch.ones(len(tasks), steps + 1)
        return Evaluation(
            losses, {"accuracy": losses}, Predictions(logits.flatten(0, 1), labels.flatten())
        )


def test_inductive_ones_have_an_absent_class():
    known = Known()
    found = choose(known, sampler(3), 2, "inductive", 60)
    assert known.asked == [(20, 2, "inductive", True)] * 3
    assert found.predictions == 60 * 9
    sure = torch.tensor([4.0 / found.temperature, 0, 0]).softmax(0)[0]
    assert found.ece_after < 0.01 < found.ece_before
    assert found.overconfidence == pytest.approx(found.ece_before)
    absent = torch.tensor([0.4 / found.temperature, 0, 0]).softmax(0)[0]
    assert absent < found.threshold.threshold < sure
    assert found.threshold[1:] == (1.0, 1.0)


def test_transductive_ones_have_none():
    known = Known()
    found = choose(known, sampler(3), 2, "transductive", 20)
    assert known.asked == [(20, 2, "transductive", False)]
    assert found.threshold is None
    assert found.ece_after < 0.01 < found.ece_before


def test_without_a_class_more_nothing_is_changed():
    known = Known()
    found = choose(known, sampler(3, classes=3), 1, "inductive", 20)
    assert known.asked == [(20, 1, "inductive", False)]
    assert found.threshold is None
    assert found.temperature == 1
    assert found.unchosen == "it needs more validation classes than the 3 of a task"
    assert found.ece_after == found.ece_before > 0.1


def test_nothing_is_chosen_where_all_is_right():
    found = choose(Known(scale=8.0, wrong=False), sampler(3), 1, "inductive", 20)
    assert found.temperature == 1
    assert found.unchosen == "all predictions of validation tasks are right"


def test_no_more_tasks_than_are_needed():
    known = Known()
    choose(known, sampler(3), 1, "inductive", 10**6)
    assert sum(number for number, *_ in known.asked) == TASKS


def test_the_temperature_goes_with_the_scale():
    one, other = (choose(Known(s), sampler(3), 1, "inductive", 20) for s in (4.0, 8.0))
    assert other.temperature == pytest.approx(2 * one.temperature)
    assert other.threshold.threshold == pytest.approx(one.threshold.threshold)


def test_nothing_is_chosen_where_a_prediction_is_not_finite():
    assert choose(Known(broken=True), sampler(3), 1, "inductive", 20) is None


def test_nothing_is_chosen_of_a_regression():
    class Regression(Known):
        def evaluate(self, tasks, steps, norm):
            losses = torch.ones(len(tasks), steps + 1)
            return Evaluation(losses, {"mse": losses})

    assert choose(Regression(), SinusoidSampler(2, 3), 1, "inductive", 20) is None
