"""MAML as a user calls it: what it returns, what it leaves alone, what it refuses."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fewstep import MAML, InputError, TaskBatch
from fewstep.functional.call import PureModel

WAYS = 3


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
        nn.Linear(64, WAYS),
    )


def some_tasks(number=3, shots=1, queries=2, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def x(examples):
        return torch.randn(number, examples * WAYS, 1, 4, 4, generator=generator)

    def y(examples):
        return torch.arange(WAYS).repeat(number, examples)

    return TaskBatch(x(shots), y(shots), x(queries), y(queries))


def state(model):
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    return tensors, modes, gradients


def assert_same_state(one, other):
    assert one[1] == other[1]
    assert all(torch.equal(one[0][name], value) for name, value in other[0].items())
    for own, others in zip(one[2], other[2], strict=True):
        assert (own is None and others is None) or torch.equal(own, others)


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_no_call_changes_the_model(norm, memory):
    model = network()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = state(model)
    learner = MAML(model, 0.4, 2, memory=memory, norm=norm)
    tasks = some_tasks()
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 3)
    learner.adapt(tasks.support_x[0], tasks.support_y[0])
    assert_same_state(state(model), before)


def test_a_vectorised_call_changes_nothing_either():
    model = network()
    model[3] = nn.Identity()
    before = state(model)
    MAML(model, 0.4, 2, execution="vectorised").meta_gradient(some_tasks())
    assert_same_state(state(model), before)


def test_nothing_of_one_call_reaches_the_next():
    learner = MAML(network(), 0.4, 2)
    torch.manual_seed(5)
    first = learner.meta_gradient(some_tasks())
    learner.evaluate(some_tasks(seed=1), 4)
    torch.manual_seed(5)
    second = learner.meta_gradient(some_tasks())
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_a_layer_under_two_names_stays_the_models_own(execution):
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(4, 2))
    weight, before = layer.weight, state(model)
    x, y = torch.randn(3, 4, 4), torch.arange(2).repeat(3, 2)
    learner = MAML(model, 0.1, 2, execution=execution)
    first, second = (learner.meta_gradient(TaskBatch(x, y, x, y))[1] for _ in range(2))
    assert layer.weight is weight
    assert_same_state(before, state(model))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("way", [PureModel.having, PureModel.traceable])
def test_a_call_puts_back_the_tensors_of_a_layer_under_two_names(way):
    layer = nn.Linear(4, 4)
    model, weight = nn.Sequential(layer, nn.Tanh(), layer), layer.weight
    pure = PureModel(model)
    with way(pure, {name: p.detach() + 1 for name, p in model.named_parameters()}):
        pure.predict(torch.randn(2, 4))
    assert layer.weight is weight


@pytest.mark.parametrize("after", [nn.ReLU(True), nn.LeakyReLU(inplace=True)])
@pytest.mark.parametrize("kind", [nn.Sequential, type("Other", (nn.Sequential,), {})])
def test_what_follows_batch_norm_may_work_in_place(after, kind):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = kind(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            out = self.body(x)
            out += 0.1
            return self.head(after(out).mean((2, 3)))

    x, y = torch.randn(2, 4, 1, 6, 6), torch.arange(2).repeat(2, 2)
    loss, _ = MAML(Block(), 0.1).meta_gradient(TaskBatch(x, y, x, y))
    assert loss.isfinite()


def test_the_result_is_the_mean_over_tasks_whatever_their_order():
    learner = MAML(network().double().eval().train(), 0.4, 2)
    learner.model[3].p = 0.0
    tasks = some_tasks()
    tasks = TaskBatch(
        tasks.support_x.double(), tasks.support_y, tasks.query_x.double(), tasks.query_y
    )
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
    tasks = some_tasks(number, shots, queries)
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
    tasks = some_tasks(queries=5)
    judged = learner.evaluate(tasks, 2)
    for number in range(len(tasks)):
        adapted = learner.adapt(tasks.support_x[number], tasks.support_y[number], norm=norm)
        loss = F.cross_entropy(adapted(tasks.query_x[number]), tasks.query_y[number])
        torch.testing.assert_close(loss, judged.losses[number, 2])


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_instance_norm_with_running_statistics(norm):
    model = network()
    model[1] = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    tasks = some_tasks(1)
    learner = MAML(model, 0.4, norm=norm)
    adapted = learner.adapt(tasks.support_x[0], tasks.support_y[0])
    loss = F.cross_entropy(adapted(tasks.query_x[0]), tasks.query_y[0])
    torch.testing.assert_close(loss, learner.evaluate(tasks, 1).losses[0, 1])


def test_a_batch_norm_called_twice_cannot_be_kept():
    layer = nn.BatchNorm1d(4)
    model = nn.Sequential(layer, nn.Linear(4, 4), layer, nn.Linear(4, 3))
    x, y = torch.randn(5, 4), torch.arange(5) % 3
    MAML(model).adapt(x, y, norm="transductive")
    for learner in (MAML(model), MAML(model, norm="inductive")):
        with pytest.raises(InputError, match="batch norm '0' is called more than once"):
            learner.adapt(x, y)


def test_an_inductive_prediction_does_not_depend_on_the_other_queries():
    tasks = some_tasks(queries=5)
    x, y, query = tasks.support_x[0], tasks.support_y[0], tasks.query_x[0]
    for norm in ("inductive", "transductive"):
        inductive = MAML(network(), 0.4, 2, norm=norm).adapt(x, y)
        torch.testing.assert_close(inductive(query)[:1], inductive(query[:1]))
    transductive = MAML(network(), 0.4, 2).adapt(x, y, norm="transductive")
    assert not torch.allclose(transductive(query)[:1], transductive(query[:1]))


def test_an_adapted_module_is_an_ordinary_one(tmp_path):
    tasks = some_tasks()
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
    tasks = some_tasks()
    adapted = MAML(model, 0.4).adapt(tasks.support_x[0], tasks.support_y[0], steps=0)
    for own, other in zip(model.parameters(), adapted.parameters(), strict=True):
        assert torch.equal(own, other)


def test_any_outer_optimiser_learns():
    """Two tasks, seen over and over, are solved."""
    model = network()
    model[3] = nn.Identity()
    learner = MAML(model, 0.4)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1, momentum=0.9)
    tasks = some_tasks(2)
    losses = []
    for _ in range(40):
        loss, gradient = learner.meta_gradient(tasks)
        for name, parameter in learner.named_parameters():
            parameter.grad = gradient[name]
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.2 * losses[0]


def test_flat_memory_keeps_no_more_for_more_steps():
    """What autograd saves at any one time, in bytes, with one inner step and with ten."""

    def peak(memory, steps):
        saved: dict[int, int] = {}
        most = 0

        class Counted:
            def __init__(self, tensor):
                nonlocal most
                self.tensor = tensor
                saved[id(self)] = tensor.nbytes
                most = max(most, sum(saved.values()))

            def __del__(self):
                saved.pop(id(self), None)

        model = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, WAYS))
        tasks = TaskBatch(
            torch.randn(1, 200, 4),
            torch.randint(WAYS, (1, 200)),
            torch.randn(1, 200, 4),
            torch.randint(WAYS, (1, 200)),
        )
        with torch.autograd.graph.saved_tensors_hooks(Counted, lambda counted: counted.tensor):
            MAML(model, 0.1, steps, memory=memory).meta_gradient(tasks)
        return most

    assert peak("flat", 10) <= 1.05 * peak("flat", 1)
    assert peak("fast", 10) > 5 * peak("fast", 1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"order": "second"}, "order is 'second'; expected one of exact, first"),
        ({"memory": "low"}, "memory is 'low'; expected one of fast, flat"),
        (
            {"execution": "vmap"},
            "execution is 'vmap'; expected one of auto, loop, ",
        ),
        ({"norm": "running"}, "norm is 'running'; expected one of transductive, inductive"),
        ({"inner_steps": -1}, "inner_steps is -1; expected 0 or more"),
        ({"inner_lr": -0.1}, "inner_lr is -0.1; expected 0 or more"),
        ({"inner_lr": float("nan")}, "inner_lr is nan; expected 0 or more"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(InputError, match=message):
        MAML(network(), **setting)


def test_nothing_to_learn():
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        MAML(network().requires_grad_(False))


@pytest.mark.parametrize("bad", [-1, WAYS])
@pytest.mark.parametrize("part", ["support_y", "query_y"])
def test_labels_out_of_range(bad, part):
    tasks = some_tasks()
    getattr(tasks, part)[1, 0] = bad
    learner = MAML(network())
    for call in (learner.meta_gradient, lambda tasks: learner.evaluate(tasks, 1)):
        with pytest.raises(InputError, match=rf"labels run from .*{bad}.*expected labels from 0"):
            call(tasks)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(ignore_index=7)])
def test_labels_of_a_loss_module(loss):
    tasks = some_tasks()
    tasks.query_y[2, 1] = WAYS
    with pytest.raises(InputError, match="labels run from 0 to 3"):
        MAML(network(), loss=loss).meta_gradient(tasks)
    tasks.query_y[2, 1] = loss.ignore_index
    MAML(network(), loss=loss).meta_gradient(tasks)


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(ignore_index=7)])
def test_labels_that_the_loss_leaves_out_do_not_count_in_the_accuracy(loss):
    whole, padded = some_tasks(), some_tasks()
    padded.query_y[:, 1:] = getattr(loss, "ignore_index", -100)
    learner = MAML(nn.Sequential(nn.Flatten(), nn.Linear(16, WAYS)), loss=loss)
    alone = TaskBatch(whole.support_x, whole.support_y, whole.query_x[:, :1], whole.query_y[:, :1])
    torch.testing.assert_close(learner.evaluate(padded, 2), learner.evaluate(alone, 2))


def test_targets_that_would_be_stretched():
    x, y = torch.randn(2, 5, 4), torch.randn(2, 5)
    with pytest.raises(
        InputError, match=r"prediction of shape \[5, 1\] and targets of shape \[5\]"
    ):
        MAML(nn.Linear(4, 1), loss=F.mse_loss).meta_gradient(TaskBatch(x, y, x, y))


def test_a_single_query_example_under_batch_norm():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    x, y = torch.randn(2, 5, 4), torch.zeros(2, 5, dtype=torch.int64)
    with pytest.raises(InputError, match=r"does not take query examples of shape \[1, 4\]"):
        MAML(model).meta_gradient(TaskBatch(x, y, x[:, :1], y[:, :1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda learner, t: learner.evaluate(t, -1), "steps is -1; expected 0 or more"),
        (lambda learner, t: learner.evaluate(t, 1, "inductve"), "norm is 'inductve'; expected"),
        (lambda learner, t: learner.adapt(t.support_x[0], t.support_y[0], -2), "steps is -2"),
    ],
)
def test_arguments_out_of_range(call, message):
    with pytest.raises(InputError, match=message):
        call(MAML(network()), some_tasks())


def test_pictures_of_another_size():
    x, y = torch.randn(1, 3, 1, 5, 5), torch.arange(3)[None]
    with pytest.raises(InputError, match=r"does not take support examples of shape \[3, 1, 5, 5\]"):
        MAML(network()).meta_gradient(TaskBatch(x, y, x, y))


def test_targets_that_do_not_fit_the_loss():
    tasks = some_tasks()
    tasks = TaskBatch(tasks.support_x, torch.randn(3, 3, 7), tasks.query_x, torch.randn(3, 6, 7))
    with pytest.raises(InputError, match="the loss does not take a prediction of shape"):
        MAML(network()).meta_gradient(tasks)


def test_a_loss_that_is_no_scalar():
    learner = MAML(network(), loss=lambda p, t: F.cross_entropy(p, t, reduction="none"))
    with pytest.raises(InputError, match=r"the loss returned \[3\]; expected .* single value"):
        learner.meta_gradient(some_tasks())
    with pytest.raises(InputError, match="the loss returned float; expected"):
        MAML(network(), loss=lambda p, t: 0.5).meta_gradient(some_tasks())


def test_batch_norm_that_was_never_trained_in_eval_mode():
    with pytest.raises(InputError, match="batch norm '1' is in eval mode"):
        MAML(network().eval()).meta_gradient(some_tasks())


def test_settings_may_change_between_calls():
    model = nn.Linear(4, 3)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 6, 4, generator=generator), torch.arange(3).repeat(2, 2)
    tasks = TaskBatch(x[:, :3], y[:, :3], x[:, 3:], y[:, 3:])
    learner = MAML(model, 0.1, 1)
    learner.inner_lr, learner.inner_steps = 0.3, 2
    found, expected = (each.meta_gradient(tasks) for each in (learner, MAML(model, 0.3, 2)))
    torch.testing.assert_close(found, expected)
