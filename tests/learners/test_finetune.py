"""Pre-training learns the classes of the data set; adaptation starts from its body."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from fewstep import InputError, TaskBatch
from fewstep.learners.finetune import FineTune

WIDE, WAYS = 6, 2


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDE, 12), nn.Tanh(), nn.Linear(12, WAYS))


def tasks(number=4, named=True):
    """Class c is the c-th unit vector with noise; every task holds two of the six."""
    generator = torch.Generator().manual_seed(1)
    classes = torch.stack([torch.randperm(WIDE, generator=generator)[:WAYS] for _ in range(number)])
    y = torch.arange(WAYS).repeat_interleave(3).repeat(number, 1)
    x = torch.eye(WIDE)[classes.gather(1, y)]

    def noisy():
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    return TaskBatch(noisy(), y, noisy(), y, classes if named else None)


def test_the_gradient_is_that_of_ordinary_training():
    learner = FineTune(model(), WIDE)
    batch = tasks()
    result = learner.differentiate(batch)
    x = torch.cat([batch.support_x, batch.query_x], 1).reshape(-1, WIDE)
    labels = torch.cat([batch.support_y, batch.query_y], 1)
    loss = nn.functional.cross_entropy(learner.wide(x), batch.classes.gather(1, labels).reshape(-1))
    loss.backward()
    assert torch.allclose(result.query.losses.mean(), loss)
    for name, parameter in learner.named_parameters():
        assert torch.allclose(result.gradient[name], parameter.grad, atol=1e-7)


@pytest.mark.parametrize("new_head", ["random", "zeros"])
def test_adaptation_starts_from_the_body_under_a_new_head(new_head):
    learner = FineTune(model(), WIDE, inner_lr=0.5, new_head=new_head)
    with torch.no_grad():
        learner.wide[0].weight.fill_(0.25)
    one, other = (learner.adapt(*support, steps=0) for support in supports())
    assert (one[0].weight == 0.25).all()
    assert bool((one[2].weight == 0).all()) == (new_head == "zeros")
    assert torch.equal(one[2].weight, other[2].weight)
    assert one[2].out_features == WAYS


def supports():
    batch = tasks()
    return [(batch.support_x[number], batch.support_y[number]) for number in (0, 1)]


def test_pre_training_helps_on_tasks():
    learner = FineTune(model(), WIDE, inner_lr=0.5)
    before = learner.evaluate(tasks(20), 3).losses[:, -1].mean()
    optimizer = torch.optim.Adam([p for _, p in learner.named_parameters()], lr=0.02)
    for _ in range(60):
        gradient = learner.differentiate(tasks(8)).gradient
        for name, parameter in learner.named_parameters():
            parameter.grad = gradient[name]
        optimizer.step()
    result = learner.evaluate(tasks(20), 3)
    assert result.losses[:, -1].mean() < before
    assert result.scores[:, -1].mean() > 0.9


def test_head_only_adaptation_leaves_the_body_as_it_was_learned():
    learner = FineTune(model(), WIDE, inner_lr=0.5)
    head_only = learner.head_only()
    x, y = supports()[0]
    start, whole, head = (m.adapt(x, y, s) for m, s in ((learner, 0), (learner, 2), (head_only, 2)))
    assert torch.equal(head[0].weight, learner.wide[0].weight)
    assert not torch.equal(whole[0].weight, learner.wide[0].weight)
    assert not torch.equal(head[2].weight, start[2].weight)
    losses = [m.evaluate(tasks(), 3).losses for m in (learner, head_only)]
    assert torch.equal(losses[0][:, 0], losses[1][:, 0])
    assert (losses[1][:, 1] < losses[1][:, 0]).all()
    assert not torch.allclose(losses[0][:, 1], losses[1][:, 1])
    assert learner.adapts == "whole"


def test_what_is_frozen_stays_and_the_unused_has_no_gradient():
    network = model()
    network[0].weight.requires_grad_(False)
    network.register_parameter("unused", nn.Parameter(torch.ones(2)))
    learner = FineTune(network, WIDE)
    gradient = learner.differentiate(tasks()).gradient
    assert set(gradient) == {"0.bias", "unused", "2.weight", "2.bias"}
    assert (gradient["unused"] == 0).all()
    assert dict(learner.named_parameters()).keys() == gradient.keys()
    assert torch.equal(learner.adapt(*supports()[0], steps=2)[0].weight, network[0].weight)


def test_what_adapts_is_one_of_two():
    with pytest.raises(InputError, match="adapts is 'tail'; expected one of whole, head"):
        FineTune(model(), WIDE, adapts="tail")


def test_tasks_without_classes():
    with pytest.raises(InputError, match="the tasks have no classes"):
        FineTune(model(), WIDE).differentiate(tasks(named=False))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"query_y": torch.full((4, 6), WAYS)}, "from 2 to 2, but each task has 2 classes"),
        ({"classes": torch.full((4, WAYS), WIDE)}, "from 6 to 6, but the model predicts 6 classes"),
        ({"support_y": torch.zeros(4, 6), "query_y": torch.zeros(4, 6)}, "one label an example"),
        ({"support_x": torch.zeros(4, 6, 3), "query_x": torch.zeros(4, 6, 3)}, "does not take"),
    ],
)
def test_tasks_that_do_not_fit(change, told):
    with pytest.raises(InputError, match=told):
        FineTune(model(), WIDE).differentiate(dataclasses.replace(tasks(), **change))


def test_a_last_layer_of_another_kind():
    with pytest.raises(InputError, match="new_head is 'ones'; expected one of random, zeros"):
        FineTune(model(), WIDE, new_head="ones")


def test_a_model_without_a_last_layer_to_replace():
    with pytest.raises(InputError, match=r"no nn\.Linear inside"):
        FineTune(nn.Sequential(nn.Conv1d(1, 1, 1)), WIDE)


def lines(number=6, rows=8, noise=0.1):
    """Lines whose slopes differ around 2; the support set has fewer rows than the query set."""
    generator = torch.Generator().manual_seed(3)
    slopes = 2 + 0.5 * torch.randn(number, 1, 1, generator=generator)
    x = torch.randn(number, rows, 1, generator=generator)
    y = slopes * x + noise * torch.randn(x.shape, generator=generator)
    return TaskBatch(x[:, :3], y[:, :3], x[:, 3:], y[:, 3:])


def regression(**settings):
    torch.manual_seed(0)
    return FineTune(nn.Linear(1, 1), loss="mse", inner_lr=0.1, **settings)


def uneven():
    even = lines()
    tasks = [even.task(number) for number in range(len(even))]
    return TaskBatch.stack([(x[:2], y[:2], qx, qy) for x, y, qx, qy in tasks[:3]] + tasks[3:])


@pytest.mark.parametrize("batch", [lines(), uneven()])
def test_a_regression_is_learned_from_all_examples_of_the_tasks(batch):
    learner = regression(metrics={"mae": nn.functional.l1_loss})
    found = learner.differentiate(batch)
    losses = []
    for number in range(len(batch)):
        x, y, query_x, query_y = batch.task(number)
        prediction = learner.wide(torch.cat([x, query_x]))
        losses.append(nn.functional.mse_loss(prediction, torch.cat([y, query_y])))
    torch.stack(losses).mean().backward()
    assert torch.allclose(found.query.losses, torch.stack(losses))
    assert found.query.metrics["mae"].shape == (6,)
    for name, parameter in learner.named_parameters():
        assert torch.allclose(found.gradient[name], parameter.grad)


def test_a_network_that_keeps_its_last_layer_is_the_users_own():
    network = nn.Linear(1, 1)
    learner = FineTune(network, loss="mse", inner_lr=0.1)
    assert learner.wide is network
    before = copy.deepcopy(network.state_dict())
    x, y, *_ = lines().task(0)
    start, tuned = (learner.adapt(x, y, steps) for steps in (0, 3))
    assert torch.equal(start.weight, network.weight)
    assert not torch.equal(tuned.weight, network.weight)
    learner.evaluate(lines(), 2)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert [*learner.variants()] == [""]


def test_the_pooled_network_is_fine_tuned_as_a_whole():
    learner = regression()
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        learner(lines(20)).backward()
        optimizer.step()
    x, y = (
        torch.cat([getattr(lines(20), part + of) for part in ("support_", "query_")], 1)
        for of in "xy"
    )
    centred = x - x.mean()
    weight = (centred * y).sum() / centred.square().sum()
    assert learner.wide.weight.item() == pytest.approx(weight.item(), abs=0.01)
    losses = learner.evaluate(lines(20), 5).losses.mean(0)
    assert losses[5] < 0.8 * losses[0]


def test_classes_of_all_tasks_keep_the_last_layer():
    learner = FineTune(model(), inner_lr=0.5)
    assert learner.evaluate(tasks(), 3).scores.shape == (4, 4)
    gradient = learner.differentiate(tasks(named=False)).gradient
    assert gradient.keys() == {"0.weight", "0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"new_head": "zeros"}, "new_head is 'zeros' without classes, where the last layer is"),
        ({"classes": 3, "loss": "mse"}, "with classes, which are told apart by cross-entropy"),
    ],
)
def test_settings_without_effect(settings, told):
    with pytest.raises(InputError, match=told):
        FineTune(model(), **settings)


@pytest.mark.parametrize("classes", [WIDE, None])
def test_metrics_are_told_in_training_and_of_tasks(classes):
    """Given to the learner, or put in later, as a source's are."""

    def wrong(prediction, target):
        return (prediction.argmax(-1) != target).double().mean()

    given = FineTune(model(), classes, metrics={"wrong": wrong})
    plain = FineTune(model(), classes)
    for learner in (given, plain.with_metrics({"wrong": wrong})):
        found = learner.evaluate(tasks(), 2)
        assert list(found.metrics) == ["wrong"]
        torch.testing.assert_close(1 - found.scores, plain.evaluate(tasks(), 2).scores)
        assert list(learner.differentiate(tasks()).query.metrics) == ["wrong"]
