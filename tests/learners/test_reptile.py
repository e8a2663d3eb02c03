"""Reptile moves towards where ordinary training on each task leads."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, Reptile, TaskBatch
from tests.factory import make_tasks, mlp
from tests.learners.shared import (
    WAYS,
    assert_adapted_as_evaluated,
    assert_same_gradient,
    assert_unchanged_by_calls,
)


def model():
    torch.manual_seed(0)
    layers = (nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, WAYS))
    return nn.Sequential(*layers).double()


def trained(start, x, y, lr, steps):
    network = copy.deepcopy(start)
    optimizer = torch.optim.SGD(network.parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_the_outer_direction_leads_to_ordinary_training(execution):
    start, tasks = model(), make_tasks(2)
    x = torch.cat([tasks.support_x, tasks.query_x], 1)
    y = torch.cat([tasks.support_y, tasks.query_y], 1)
    ends = [trained(start, x[number], y[number], 0.3, 4) for number in (0, 1)]
    result = Reptile(start, 0.3, 4, execution=execution).differentiate(tasks)
    for name, parameter in start.named_parameters():
        ways = [(parameter - end.get_parameter(name)) / 0.3 for end in ends]
        torch.testing.assert_close(result.gradient[name], sum(ways).detach() / 2)
    loss = F.cross_entropy(ends[1](tasks.query_x[1]), tasks.query_y[1])
    torch.testing.assert_close(result.query.losses[1], loss.detach())


def test_one_inner_step_is_ordinary_training():
    start, tasks = model(), make_tasks(1)
    x = torch.cat([tasks.support_x[0], tasks.query_x[0]])
    loss = F.cross_entropy(start(x), torch.cat([tasks.support_y[0], tasks.query_y[0]]))
    names, parameters = zip(*start.named_parameters(), strict=True)
    plain = torch.autograd.grad(loss, parameters)
    _, gradient = Reptile(start, 0.3, 1).meta_gradient(tasks)
    for name, value in zip(names, plain, strict=True):
        torch.testing.assert_close(gradient[name], value)


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_adaptation_is_that_of_maml(norm):
    learner = Reptile(model(), 0.3, norm=norm)
    assert_adapted_as_evaluated(learner, make_tasks(2, queries=3), 3)


def test_no_call_changes_the_model():
    assert_unchanged_by_calls(Reptile(model(), 0.3), make_tasks(2))


def test_tasks_do_not_touch_one_another():
    tasks = make_tasks(3)
    together = Reptile(model(), 0.3).meta_gradient(tasks)[1]
    alone = [Reptile(model(), 0.3).meta_gradient(tasks[n : n + 1])[1] for n in range(3)]
    for name, value in together.items():
        torch.testing.assert_close(value, sum(part[name] for part in alone) / 3)
    loop, stacked = (Reptile(model(), 0.3, execution=e) for e in ("loop", "chunked"))
    assert_same_gradient(loop, stacked, tasks)


@pytest.mark.parametrize("setting", [{"inner_lr": 0.0}, {"inner_steps": 0}])
def test_an_inner_loop_that_does_not_move(setting):
    with pytest.raises(InputError, match=r"is 0.*; Reptile moves only where it is more than 0"):
        Reptile(model(), **setting)


def test_reptile_cannot_join_graphs():
    adjacency = torch.rand(3, 6, 6).double()
    tasks = make_tasks()
    smaller = (tasks.query_x[:, :4], adjacency[:, :4, :4])
    tasks = TaskBatch((tasks.support_x, adjacency), tasks.support_y, smaller, tasks.query_y[:, :4])

    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x, adjacency):
            return adjacency @ self.net(x)

    MAML(Graph()).meta_gradient(tasks)
    with pytest.raises(InputError, match="Reptile trains on support and query examples together"):
        Reptile(Graph()).meta_gradient(tasks)


class Tempered(nn.Module):
    def __init__(self):
        super().__init__()
        self.t = nn.Parameter(torch.tensor(1.3, dtype=torch.float64))

    def forward(self, prediction, y):
        return F.cross_entropy(prediction * self.t, y)


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_a_loss_learns_from_the_query_loss_after_the_inner_loop(execution):
    """Of first order: where the inner loop ends counts as a constant."""
    tasks, loss = make_tasks(2), Tempered()
    learner = Reptile(mlp(), 0.3, 2, loss=loss, execution=execution)
    found, gradient = learner.meta_gradient(tasks)
    losses = []
    for number in range(2):
        support_x, support_y, query_x, query_y = tasks.task(number)
        network = mlp()
        optimizer = torch.optim.SGD(network.parameters(), 0.3)
        for _ in range(2):
            optimizer.zero_grad()
            loss(
                network(torch.cat([support_x, query_x])), torch.cat([support_y, query_y])
            ).backward()
            optimizer.step()
        losses.append(loss(network(query_x), query_y))
        way = (mlp()[0].weight - network[0].weight).detach() / 0.3
        gradient["0.weight"] = gradient["0.weight"] - way / 2
    torch.testing.assert_close(found, torch.stack(losses).mean().detach())
    (expected,) = torch.autograd.grad(torch.stack(losses).mean(), loss.t)
    torch.testing.assert_close(gradient["loss.t"], expected)
    assert gradient["0.weight"].abs().max() < 1e-12
