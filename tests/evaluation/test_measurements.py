"""The figures of a diagnosis are what they say."""

import json
from dataclasses import replace

import pytest
import torch

from fewstep.config.recipes import find_recipe
from fewstep.data.sinusoid import SinusoidSampler
from fewstep.evaluation.measurements import examine
from fewstep.learners.base import Evaluation
from fewstep.training.checkpoint import Progress
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import Run

CONFIG = replace(find_recipe("sinusoid").config, test_k_shot=2, test_q_query=3)
SAMPLERS = {
    "train": SinusoidSampler(10, 10, split="train"),
    "val": SinusoidSampler(2, 3, split="val"),
}


class Known:
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


@pytest.fixture
def run():
    return Run(CONFIG, Known(), SAMPLERS, Progress(step=3))


def test_each_figure(run, tmp_path, monkeypatch):
    monkeypatch.setattr("fewstep.evaluation.measurements.OUTER_STEPS", 3)
    lines = [{"step": s, "train/gradient_norm": float(n)} for s, n in enumerate([9, 6, 1, 2, 9])]
    text = "".join(json.dumps(line) + "\n" for line in [*lines, {"step": 3, "val/score": 1.0}])
    RunDir(tmp_path).metrics.write_text(text + '{"step": 3, "tra')
    figures = examine(run, RunDir(tmp_path), 1, "inductive", 40)
    train = replace(SAMPLERS["train"], k_shot=2, q_query=3).batch(range(40)).query_y.mean((1, 2))
    assert figures.training == pytest.approx(
        10 * torch.where(train > 0, 2.0, 0.5).mean().item(), rel=1e-6
    )
    assert figures.validation == pytest.approx(10 * after("val").mean().item(), rel=1e-6)
    assert figures.worse == pytest.approx((after("val") > 1).float().mean().item(), rel=1e-6)
    assert (figures.support_loss_before, figures.support_loss_after) == (1.0, 0.0)
    assert (figures.gradient_norm, figures.gradient_peak) == (2.0, 6.0)
    assert {norm for *_, norm in run.learner.judged} == {"inductive"}


def test_a_learner_that_does_not_adapt_makes_no_task_worse(run, tmp_path):
    class Still:
        def evaluate(self, tasks, steps, norm):
            losses = torch.ones(len(tasks), steps + 1)
            return Evaluation(losses, {"mse": losses})

    assert examine(replace(run, learner=Still()), RunDir(tmp_path), 1, "inductive", 4).worse == 0


def test_a_loss_that_is_no_number_is_worse(run, tmp_path):
    class Diverging:
        def evaluate(self, tasks, steps, norm):
            losses = torch.ones(len(tasks), steps + 1)
            losses[0, -1] = torch.nan
            return Evaluation(losses, {"mse": losses})

    figures = examine(replace(run, learner=Diverging()), RunDir(tmp_path), 1, "inductive", 4)
    assert figures.worse == 0.25


def test_it_is_cheap(run, tmp_path):
    assert examine(run, RunDir(tmp_path), 1, "inductive", 5000).tasks == 100
    assert sum(number for _, number, *_ in run.learner.judged) == 300


@pytest.mark.parametrize("text", [None, "damaged\n", '["step"]\n'])
def test_without_metrics_there_is_no_gradient(run, tmp_path, text):
    if text:
        RunDir(tmp_path).metrics.write_text(text)
    assert examine(run, RunDir(tmp_path), 1, "inductive", 2).gradient_norm is None
