"""The report on a gradient: what is exact, what is wrong, and what a kink is."""

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError, Reptile, TaskBatch, check_gradient
from tests.factory import make_tasks, mlp


class Straight(nn.Module):
    """Rounds, and lets the gradient through as if it did not."""

    def forward(self, x):
        return x + (x.round() - x).detach()


def test_an_exact_gradient():
    learner = MAML(mlp(nn.Tanh()), 0.3, 3, step_sizes="per-step")
    before = [p.detach().clone() for p in learner.parameters()]
    report = check_gradient(learner, make_tasks(2))
    assert report.exact
    assert report.deviation < 1e-7
    assert set(report.parameters) == dict(learner.named_parameters()).keys()
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters(), strict=True))


@pytest.mark.parametrize("model", [mlp(nn.Tanh()), mlp(Straight())])
def test_a_gradient_that_was_stopped(model):
    order = "exact" if isinstance(model[1], Straight) else "first"
    report = check_gradient(MAML(model, 0.3, 2, order=order), make_tasks(2))
    assert not report.exact
    assert report.parameters["0.weight"].verdict == "wrong"
    assert "0.weight  wrong    deviation" in str(report)


def test_a_kink_is_no_fault():
    """ReLU exactly at zero: the slope depends on the side."""
    model = mlp(nn.ReLU())
    with torch.no_grad():
        model[0].bias.zero_()
    tasks = make_tasks(2)
    x = tasks.support_x.clone()
    x[:, 0] = 0.0
    tasks = TaskBatch(x, tasks.support_y, tasks.query_x, tasks.query_y)
    verdicts = {n: c.verdict for n, c in check_gradient(MAML(model, 0.3), tasks).parameters.items()}
    assert verdicts["0.bias"] == "kink"
    assert verdicts["2.weight"] == verdicts["2.bias"] == "exact"


def test_single_precision_is_a_blunt_judge():
    report = check_gradient(MAML(mlp(nn.Tanh()).float(), 0.3), make_tasks(2, dtype=torch.float32))
    assert report.tolerance == 5e-2
    assert "model.double()" in str(report)
    assert report.exact


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match="Reptile's outer step follows no gradient"):
        check_gradient(Reptile(mlp(nn.Tanh())), make_tasks(2))
    with pytest.raises(InputError, match="learner is a Sequential; expected a learner, as in"):
        check_gradient(mlp(nn.Tanh()), make_tasks(2))
    with pytest.raises(InputError, match="directions is 0; expected 1 or more"):
        check_gradient(MAML(mlp(nn.Tanh())), make_tasks(2), directions=0)
