"""MAML as a user calls it: what it returns, what it leaves alone, what it refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fewstep import MAML
from tests.factory import cnn, make_pictures, make_tasks
from tests.snapshot import differences, snapshot


def network():
    return cnn(nn.ReLU(), nn.Dropout(0.1))


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_no_call_changes_the_model(norm, memory):
    model = network()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = snapshot(model)
    learner = MAML(model, 0.4, 2, memory=memory, norm=norm)
    tasks = make_pictures()
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 3)
    learner.adapt(tasks.support_x[0], tasks.support_y[0])
    assert not differences(before, snapshot(model))


def test_a_vectorised_call_changes_nothing_either():
    model = network()
    model[3] = nn.Identity()
    before = snapshot(model)
    MAML(model, 0.4, 2, execution="vectorised").meta_gradient(make_pictures())
    assert not differences(before, snapshot(model))


def test_nothing_of_one_call_reaches_the_next():
    learner = MAML(network(), 0.4, 2)
    torch.manual_seed(5)
    first = learner.meta_gradient(make_pictures())
    learner.evaluate(make_pictures(seed=1), 4)
    torch.manual_seed(5)
    second = learner.meta_gradient(make_pictures())
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])


def test_the_result_is_the_mean_over_tasks_whatever_their_order():
    learner = MAML(network().double().eval().train(), 0.4, 2)
    learner.model[3].p = 0.0
    tasks = make_pictures(dtype=torch.float64)
    loss, gradient = learner.meta_gradient(tasks)
    alone = [learner.meta_gradient(tasks[i : i + 1]) for i in (2, 0, 1)]
    torch.testing.assert_close(loss, sum(part[0] for part in alone) / 3)
    for name, value in gradient.items():
        torch.testing.assert_close(value, sum(part[1][name] for part in alone) / 3)


@settings(max_examples=15, deadline=None)
@given(
    number=st.integers(1, 4),
    shots=st.integers(1, 3),
    queries=st.integers(1, 3),
    steps=st.integers(0, 3),
    execution=st.sampled_from(["auto", "loop", "vectorised", "chunked"]),
)
def test_shapes(number, shots, queries, steps, execution):
    model = network()
    model[3] = nn.Identity()
    learner = MAML(model, 0.1, steps, execution=execution)
    tasks = make_pictures(number, shots, queries)
    loss, gradient = learner.meta_gradient(tasks)
    assert loss.shape == ()
    assert not loss.requires_grad
    shapes = {name: p.shape for name, p in model.named_parameters()}
    assert {name: g.shape for name, g in gradient.items()} == shapes
    evaluation = learner.evaluate(tasks, steps)
    assert evaluation.losses.shape == evaluation.scores.shape == (number, steps + 1)
    assert bool(((evaluation.scores >= 0) & (evaluation.scores <= 1)).all())


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_an_adapted_module_does_as_the_evaluation_says(norm):
    learner = MAML(network(), 0.4, 2, norm=norm)
    tasks = make_pictures(queries=5)
    evaluated = learner.evaluate(tasks, 2)
    for number in range(len(tasks)):
        adapted = learner.adapt(tasks.support_x[number], tasks.support_y[number], norm=norm)
        loss = F.cross_entropy(adapted(tasks.query_x[number]), tasks.query_y[number])
        torch.testing.assert_close(loss, evaluated.losses[number, 2])


def test_an_inductive_prediction_needs_no_other_queries():
    tasks = make_pictures(queries=5)
    x, y, query = tasks.support_x[0], tasks.support_y[0], tasks.query_x[0]
    for norm in ("inductive", "transductive"):
        inductive = MAML(network(), 0.4, 2, norm=norm).adapt(x, y)
        torch.testing.assert_close(inductive(query)[:1], inductive(query[:1]))
    transductive = MAML(network(), 0.4, 2).adapt(x, y, norm="transductive")
    assert not torch.allclose(transductive(query)[:1], transductive(query[:1]))


def test_an_adapted_module_is_an_ordinary_one(tmp_path):
    tasks = make_pictures()
    adapted = MAML(network(), 0.4).adapt(tasks.support_x[0], tasks.support_y[0], steps=3)
    torch.save(adapted.state_dict(), tmp_path / "adapted.pt")
    again = copy.deepcopy(adapted)
    again.load_state_dict(torch.load(tmp_path / "adapted.pt"))
    assert torch.equal(again(tasks.query_x[0]), adapted(tasks.query_x[0]))
    assert not adapted.training
    assert all(parameter.requires_grad for parameter in adapted.parameters())


def test_zero_steps_leave_the_initialisation():
    model = network().eval()
    model[1].train()
    tasks = make_pictures()
    adapted = MAML(model, 0.4).adapt(tasks.support_x[0], tasks.support_y[0], steps=0)
    for own, other in zip(model.parameters(), adapted.parameters(), strict=True):
        assert torch.equal(own, other)


def test_any_outer_optimiser_learns():
    """Two tasks, seen over and over, are solved."""
    model = network()
    model[3] = nn.Identity()
    learner = MAML(model, 0.4)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1, momentum=0.9)
    tasks = make_pictures(2)
    losses = []
    for _ in range(40):
        loss, gradient = learner.meta_gradient(tasks)
        for name, parameter in learner.named_parameters():
            parameter.grad = gradient[name]
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]


def test_settings_may_change_between_calls():
    model = nn.Linear(4, 3)
    tasks = make_tasks(2, 1, 1, dtype=torch.float32)
    learner = MAML(model, 0.1, 1)
    learner.inner_lr, learner.inner_steps = 0.3, 2
    found, expected = (each.meta_gradient(tasks) for each in (learner, MAML(model, 0.3, 2)))
    torch.testing.assert_close(found, expected)
