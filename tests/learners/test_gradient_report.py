"""The report on a gradient: what is exact, what is wrong, and what a kink is."""

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError, Reptile, TaskBatch, check_gradient


def tasks_of(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.randint(3, (2, 6), generator=generator)
    return TaskBatch(x, y, x, y)


def mlp(middle):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), middle, nn.Linear(6, 3)).double()


class Straight(nn.Module):
    """Rounds, and lets the gradient through as if it did not."""

    def forward(self, x):
        return x + (x.round() - x).detach()


def test_an_exact_gradient():
    learner = MAML(mlp(nn.Tanh()), 0.3, 3, step_sizes="per-step")
    before = [p.detach().clone() for p in learner.parameters()]
    report = check_gradient(learner, tasks_of())
    assert report.exact
    assert report.deviation < 1e-7
    assert set(report.parameters) == dict(learner.named_parameters()).keys()
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters(), strict=True))


@pytest.mark.parametrize("model", [mlp(nn.Tanh()), mlp(Straight())])
def test_a_gradient_that_was_stopped(model):
    order = "exact" if isinstance(model[1], Straight) else "first"
    report = check_gradient(MAML(model, 0.3, 2, order=order), tasks_of())
    assert not report.exact
    assert report.parameters["0.weight"].verdict == "wrong"
    assert "0.weight  wrong    deviation" in str(report)


def test_a_kink_is_no_fault():
    """ReLU exactly at zero: the slope depends on the side."""
    model = mlp(nn.ReLU())
    with torch.no_grad():
        model[0].bias.zero_()
    tasks = tasks_of()
    x = tasks.support_x.clone()
    x[:, 0] = 0.0
    tasks = TaskBatch(x, tasks.support_y, tasks.query_x, tasks.query_y)
    verdicts = {n: c.verdict for n, c in check_gradient(MAML(model, 0.3), tasks).parameters.items()}
    assert verdicts["0.bias"] == "kink"
    assert verdicts["2.weight"] == verdicts["2.bias"] == "exact"


def test_single_precision_is_a_blunt_judge():
    report = check_gradient(MAML(mlp(nn.Tanh()).float(), 0.3), tasks_of(torch.float32))
    assert report.tolerance == 5e-2
    assert "model.double()" in str(report)
    assert report.exact


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match="Reptile's outer step follows no gradient"):
        check_gradient(Reptile(mlp(nn.Tanh())), tasks_of())
    with pytest.raises(InputError, match="learner is a Sequential; expected a learner, as in"):
        check_gradient(mlp(nn.Tanh()), tasks_of())
    with pytest.raises(InputError, match="directions is 0; expected 1 or more"):
        check_gradient(MAML(mlp(nn.Tanh())), tasks_of(), directions=0)
