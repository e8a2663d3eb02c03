"""The figures of a diagnosis are what they say."""

import pytest
import torch

from fewstep.data.sinusoid import SinusoidSampler
from fewstep.evaluation.diagnosis import diagnosis_as_json, findings
from fewstep.evaluation.measurements import measure
from fewstep.learners.base import Evaluation

SAMPLERS = {
    "train": SinusoidSampler(2, 3, split="train"),
    "val": SinusoidSampler(2, 3, split="val"),
}


class Fixed:
    def named_parameters(self):
        return iter(())


class Known(Fixed):
    """Loss 1 before; afterwards 0 on the support set, and 2 or 0.5 on query sets by their mean."""

    def __init__(self):
        self.judged = []

    def evaluate(self, tasks, steps, norm):
        on_support = tasks.query_x.shape == tasks.support_x.shape
        assert tasks.support_x.shape[1] == 2
        self.judged.append((on_support, len(tasks), steps, norm))
        after = torch.where(tasks.query_y.mean((1, 2)) > 0, 2.0, 0.5) * (not on_support)
        losses = torch.stack([torch.ones(len(tasks)), after], 1)
        return Evaluation(losses, {"mse": 10 * losses})


def after(split):
    means = SAMPLERS[split].batch(range(40)).query_y.mean((1, 2))
    return torch.where(means > 0, 2.0, 0.5)


def measured(learner, tasks, **given):
    splits = SAMPLERS["train"], SAMPLERS["val"]
    return measure(learner, *splits, 1, "inductive", tasks, larger_is_better=False, **given)


def test_each_figure(monkeypatch):
    monkeypatch.setattr("fewstep.evaluation.measurements.OUTER_STEPS", 3)
    known = Known()
    lines = [{"step": s, "train/gradient_norm": float(n)} for s, n in enumerate([9, 6, 1, 2, 9])]
    figures = measured(known, 40, metrics=[*lines, {"step": 3, "val/score": 1.0}], kept_at=3)
    assert figures.score == "mse"
    assert figures.training == pytest.approx(10 * after("train").mean().item(), rel=1e-6)
    assert figures.validation == pytest.approx(10 * after("val").mean().item(), rel=1e-6)
    assert figures.worse == pytest.approx((after("val") > 1).float().mean().item(), rel=1e-6)
    assert (figures.support_loss_before, figures.support_loss_after) == (1.0, 0.0)
    assert (figures.gradient_norm, figures.gradient_peak) == (2.0, 6.0)
    assert {norm for *_, norm in known.judged} == {"inductive"}


def test_a_learner_that_does_not_adapt_makes_no_task_worse():
    class Still(Fixed):
        def evaluate(self, tasks, steps, norm):
            losses = torch.ones(len(tasks), steps + 1)
            return Evaluation(losses, {"mse": losses})

    assert measured(Still(), 4).worse == 0


def test_a_loss_that_is_no_number_is_worse():
    class Diverging(Fixed):
        def evaluate(self, tasks, steps, norm):
            losses = torch.ones(len(tasks), steps + 1)
            losses[0, -1] = torch.nan
            return Evaluation(losses, {"mse": losses})

    assert measured(Diverging(), 4).worse == 0.25


def test_it_is_cheap():
    known = Known()
    assert measured(known, 5000).tasks == 100
    assert sum(number for _, number, *_ in known.judged) == 300


def test_without_training_tasks_and_metrics():
    known = Known()
    figures = measure(known, None, SAMPLERS["val"].batch(range(7)), 1, None, 50, larger_is_better=0)
    assert (figures.training, figures.gradient_norm, figures.trend) == (None, None, None)
    assert figures.tasks == 7
    assert diagnosis_as_json(figures)["training"] is None


def validations(scores):
    return [{"step": 10 * n, "val/score": score} for n, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "improves"),
    [
        ([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], True),
        ([8.0, 7.0, 2.0, 1.0, 1.0, 1.01, 0.99, 1.0], False),
        # Better by less than validations differ anyway.
        ([8.0, 7.0, 2.0, 9.0, 2.0, 0.5, 1.5, 0.8], False),
        ([8.0, 7.0, 6.0, 5.0, 6.0, 7.0, 8.0, 9.0], False),
    ],
)
def test_a_training_that_is_far_from_its_plateau(scores, improves):
    told = findings(measured(Known(), 4, metrics=validations(scores)))
    assert any("validation mse still improved" in line for line in told) == improves


def test_with_few_validations_the_training_tells():
    training = [{"step": n, "train/score": 4.0 / (1 + n)} for n in range(40)]
    told = findings(measured(Known(), 4, metrics=[*training, *validations([3.0, 3.0])]))
    assert any("training mse still improved in the last quarter" in line for line in told)


def test_a_training_that_has_not_come_to_its_end():
    lines = [{"step": n, "train/score": 4.0 / n} for n in range(1, 41)]
    told = findings(measured(Known(), 4, metrics=lines, planned=100))
    assert any("stopped after 40 of 100 outer steps, so train in the same" in line for line in told)
    assert not any("plateau" in line for line in told)


@pytest.mark.parametrize(
    ("scores", "is_said"),
    [
        ([1.0, 0.7, 0.75, 0.8, 0.84, 0.86, 0.88, 0.9, 0.9, 0.91], True),
        ([0.7, 0.9, 0.9, 0.91, 0.9, 0.9, 0.89, 0.9], True),
        ([1.0, 0.7, 0.75, 0.72, 0.77, 0.71, 0.76, 0.72, 0.75, 0.73], False),
        ([2.0, 1.5, 1.2, 1.0, 0.9, 0.8, 0.75, 0.71, 0.7, 0.72], False),
        ([0.7, 0.9, 0.9], False),
    ],
)
def test_a_validation_that_got_worse_since_early(scores, is_said):
    kept_at = 10 * min(range(len(scores)), key=scores.__getitem__)
    told = findings(measured(Known(), 4, metrics=validations(scores), kept_at=kept_at))
    assert any("overfits the training tasks" in line for line in told) == is_said
