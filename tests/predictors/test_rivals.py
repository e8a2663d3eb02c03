"""Rivals label query examples by the support set alone, each in its own way."""

import pytest
import torch
from torch import nn

import fewstep
from fewstep.predictors.rivals import (
    FINE_TUNING_STEPS,
    RIVALS,
    count_right,
    fine_tuning,
    method_of,
    nearest_mean_of_pixels,
    rivals_of,
)
from fewstep.predictors.trials import Trial
from tests.factory import make_tasks, mlp
from tests.predictors.shared import of_pictures, of_rows, of_run


def trial(shots=3, ways=3, seed=0):
    """A task whose classes lie apart."""
    tasks = make_tasks(1, shots, 4, (4,), ways=ways, seed=seed, dtype=torch.float32)
    x, y, query_x, query_y = tasks.task(0)
    centres = 4 * torch.eye(4)
    return Trial(x + centres[y], y, query_x + centres[query_y], query_y)


def test_nearest_mean_by_hand():
    x, y = torch.tensor([[0.0], [2.0], [10.0]]), torch.tensor([0, 0, 1])
    found = nearest_mean_of_pixels(x, y, torch.tensor([[5.4], [5.6], [-9.0]]))
    assert found.tolist() == [0, 1, 0]


@pytest.mark.parametrize("learner", [of_rows(), fewstep.MAML(mlp(dtype=torch.float32))])
def test_each_rival_solves_an_easy_task(learner):
    one = trial()
    rivals = rivals_of(learner, 3)
    assert rivals.keys() == RIVALS.keys()
    for method in rivals.values():
        assert count_right(method, [one]) >= 10


def test_rivals_are_of_any_number_of_classes():
    one = trial(ways=4)
    for method in rivals_of(of_rows(), 4).values():
        assert method(one.x, one.y, one.query_x).max() <= 3


def test_fine_tuning_is_gradient_descent_of_all():
    one, model = trial(), mlp(dtype=torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tuned = fine_tuning(model, 3)
    module = tuned.adapt(one.x, one.y)
    plain = mlp(dtype=torch.float32)
    nn.init.zeros_(plain[2].weight)
    nn.init.zeros_(plain[2].bias)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    for _ in range(FINE_TUNING_STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(one.x), one.y).backward()
        optimizer.step()
    torch.testing.assert_close(module(one.query_x), plain(one.query_x))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_pre_trained_runs_have_rivals_too():
    x, y = torch.rand(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])
    for learner in (of_run("finetune"), of_run("cavia", context=4), of_pictures()):
        for method in rivals_of(learner, 3).values():
            assert method(x, y, x[:2]).shape == (2,)


def test_a_network_without_a_last_layer_has_one_rival():
    learner = fewstep.MAML(nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()))
    assert list(rivals_of(learner, 3)) == ["nearest_mean_pixels"]


def test_a_loss_that_is_not_finite_is_no_count():
    one = trial()
    wild = fewstep.MAML(mlp(nn.ReLU(), dtype=torch.float32), inner_lr=1e20)
    assert count_right(method_of(wild, 5), [one]) is None
