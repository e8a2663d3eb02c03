"""The adapted model: called with one example or many, saved, loaded, and adapted again."""

import copy
import gc
import threading
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError, Parallel, ProtoMAML, TaskBatch

from ..plain import deviation

NORMS = ("transductive", "inductive")


def network(tracks=True):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4, track_running_stats=tracks),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def tasks_of(number=2, queries=4, double=False):
    generator = torch.Generator().manual_seed(0)

    def x(examples):
        x = torch.randn(number, 3 * examples, 1, 4, 4, generator=generator)
        return x.double() if double else x

    def y(examples):
        return torch.arange(3).repeat(number, examples)

    return TaskBatch(x(2), y(2), x(queries), y(queries))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("tracks", [True, False])
def test_one_example_at_a_time_unless_told_otherwise(norm, tracks):
    tasks = tasks_of()
    x, y, query_x, _ = tasks.task(0)
    learner = MAML(network(tracks), 0.4, 2, norm=norm)
    adapted = learner.adapt(x, y)
    together = adapted(query_x)
    alone = torch.cat([adapted(one[None]) for one in query_x])
    torch.testing.assert_close(alone, together)
    judged = learner.evaluate(tasks, 2, "inductive")
    loss = F.cross_entropy(together, tasks.query_y[0])
    torch.testing.assert_close(loss, judged.losses[0, -1])


@pytest.mark.parametrize("norm", NORMS)
def test_its_outputs_carry_no_graph_of_the_adaptation(norm):
    learner = MAML(network(), 0.4, 2)
    adapted = learner.adapt(*tasks_of().task(0)[:2], norm=norm)
    assert all(value.is_leaf for value in (*adapted.parameters(), *adapted.buffers()))
    adapted(tasks_of().query_x[0]).sum().backward()
    assert all(p.grad is None for p in learner.parameters())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("tracks", [True, False])
def test_its_state_fits_the_users_module(tmp_path, norm, tracks):
    tasks = tasks_of()
    x, y, query_x, _ = tasks.task(0)
    model = network(tracks)
    adapted = MAML(model, 0.4, 3).adapt(x, y, norm=norm)
    torch.save(adapted.state_dict(), tmp_path / "adapted.pt")
    own = network(tracks)
    own.load_state_dict(torch.load(tmp_path / "adapted.pt", weights_only=True))
    expected = MAML(model, 0.4, 3).adapt(x, y, norm="inductive" if tracks else "transductive")
    # In eval mode the support set's statistics are what a batch norm that keeps any uses.
    torch.testing.assert_close(own.eval()(query_x), expected(query_x))
    again = copy.deepcopy(adapted)
    assert torch.equal(again(query_x), adapted(query_x))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("tracks", [True, False])
@pytest.mark.parametrize("kind", [MAML, ProtoMAML])
def test_one_step_and_then_two_are_three(norm, tracks, kind):
    x, y, query_x, _ = tasks_of(double=True).task(0)
    learner = kind(network(tracks).double(), 0.4)
    expected = learner.adapt(x, y, 3, norm)
    once = learner.adapt(x, y, 1, norm)
    before = once(query_x)
    found = MAML(once, 0.4).adapt(x, y, 2, norm)
    torch.testing.assert_close(found(query_x), expected(query_x), rtol=1e-10, atol=1e-12)
    assert torch.equal(once(query_x), before)


def test_an_adapted_model_is_meta_trained_like_any_other():
    tasks = tasks_of(double=True)
    adapted = MAML(network().double(), 0.4).adapt(*tasks.task(0)[:2], 1)
    plain = network().double()
    plain.load_state_dict(adapted.state_dict())
    found, expected = (MAML(m, 0.1, 2).meta_gradient(tasks)[1] for m in (adapted, plain))
    assert deviation(found, expected) < 1e-12


def test_a_layer_that_was_in_eval_mode_stays_as_it_was():
    model = network()
    model(torch.randn(5, 1, 4, 4))
    model[1].eval()
    adapted = MAML(model, 0.4).adapt(*tasks_of().task(0)[:2])
    assert torch.equal(adapted[1].running_mean, model[1].running_mean)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off_they_are_on_inside(off):
    tasks = tasks_of()
    learner = MAML(network(), 0.4, 2)
    expected = learner.evaluate(tasks, 2).losses, learner.meta_gradient(tasks)[0]
    with off():
        torch.testing.assert_close(learner.evaluate(tasks, 2).losses, expected[0])
        torch.testing.assert_close(learner.meta_gradient(tasks)[0], expected[1])
        adapted = learner.adapt(*tasks.task(0)[:2])
        assert not adapted(tasks.query_x[0]).requires_grad
    assert all(p.requires_grad and not p.is_inference() for p in adapted.parameters())


def test_inference_tensors_are_one_clear_line():
    with torch.inference_mode():
        tasks = tasks_of()
    with pytest.raises(InputError, match=r"made under torch.inference_mode"):
        MAML(network()).meta_gradient(tasks)
    with torch.inference_mode():
        model = network()
    with pytest.raises(InputError, match=r"made under torch.inference_mode"):
        MAML(model).evaluate(tasks_of(), 1)


def _freeze(model):
    model[0].requires_grad_(False)


def _unfreeze(model):
    model[0].requires_grad_(True)


@pytest.mark.parametrize(("before", "after"), [(_unfreeze, _freeze), (_freeze, _unfreeze)])
@pytest.mark.parametrize("settings", [{}, {"adapting": "body"}, {"compile": True}])
def test_what_is_frozen_is_looked_at_when_asked(before, after, settings):
    tasks = tasks_of(double=True)
    model, fresh = network().double(), network().double()
    model.insert(1, nn.Conv2d(4, 4, 1).double())
    fresh.insert(1, copy.deepcopy(model[1]))
    before(model)
    learner = MAML(model, 0.4, 2, **settings)
    learner.meta_gradient(tasks)
    after(model)
    after(fresh)
    found = learner.meta_gradient(tasks)[1]
    expected = MAML(fresh, 0.4, 2, **settings).meta_gradient(tasks)[1]
    assert found.keys() == expected.keys()
    assert deviation(found, expected) < 1e-12
    assert learner.evaluate(tasks, 1).losses.isfinite().all()


def test_an_unfrozen_parameter_without_a_step_size():
    model = network()
    _freeze(model)
    learner = MAML(model, 0.4, 2, step_sizes="per-step")
    _unfreeze(model)
    with pytest.raises(InputError, match=r"'0.weight' .* has no step sizes; make a new learner"):
        learner.meta_gradient(tasks_of())
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        learner.evaluate(tasks_of(), 1)


@pytest.mark.parametrize("way", ["adapt", "evaluate"])
def test_two_copies_of_the_parameters_are_kept(way, monkeypatch):
    """However many steps are taken."""
    alive: set[int] = set()
    most = 0

    import fewstep.metagrad.inner_loop

    as_leaf_tensors = fewstep.metagrad.inner_loop.as_leaf_tensors

    def counting(params):
        nonlocal most
        made = as_leaf_tensors(params)
        for value in made.values():
            if value.numel() > 1000:
                alive.add(id(value))
                weakref.finalize(value, alive.discard, id(value))
        gc.collect(0)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(fewstep.metagrad.inner_loop, "as_leaf_tensors", counting)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 100), nn.Linear(100, 3, bias=False))
    learner, tasks = MAML(model, 0.01), tasks_of(1)
    if way == "adapt":
        learner.adapt(*tasks.task(0)[:2], 30)
    else:
        learner.evaluate(tasks, 30)
    assert 1 <= most <= 2


BAD = {
    "support_x": ("support_x has a number that is not finite in task 1", 0.4),
    "query_x": ("query_x has a number that is not finite in task 1", 0.4),
    "lr": (r"(parameters are|support loss is) not finite after \d+ inner steps in task 0", 1e30),
}


@pytest.mark.parametrize(("where", "told"), BAD.items())
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named(where, told, execution, bad):
    message, lr = told
    tasks = tasks_of(3)
    if where != "lr":
        getattr(tasks, where)[1, 2, 0, 1, 1] = bad
    with pytest.raises(InputError, match=message):
        MAML(network(), lr, 5, execution=execution).meta_gradient(tasks)


def test_a_task_keeps_its_number_in_another_process():
    tasks = tasks_of(4)
    tasks.query_x[3, 0] = float("nan")
    with pytest.raises(InputError, match="query_x has a number that is not finite in task 3"):
        Parallel(MAML(network()), 2).meta_gradient(tasks)


class Root(nn.Module):
    """Its derivative is infinite at zero, its value is not."""

    def forward(self, x):
        return x.square().sum(1, keepdim=True).sqrt() + x


def test_a_gradient_that_is_not_finite():
    model = nn.Sequential(nn.Linear(4, 3, bias=False), Root())
    x, y = torch.randn(2, 6, 4), torch.randint(3, (2, 6))
    x[1] = 0.0
    with pytest.raises(InputError, match=r"not finite"):
        MAML(model).meta_gradient(TaskBatch(x, y, x, y))


def test_four_threads_get_what_one_gets():
    learner = MAML(network().double(), 0.4, 2)
    x = torch.randn(2, 6, 1, 4, 4, dtype=torch.float64)
    y = torch.arange(3).repeat(2, 2)
    tasks = TaskBatch(x, y, x, y)
    parameters = list(learner.model.parameters())
    values = [p.detach().clone() for p in parameters]
    expected, found = learner.meta_gradient(tasks)[1], []

    def work():
        for _ in range(10):
            found.append(learner.meta_gradient(tasks)[1])
            learner.evaluate(tasks, 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(torch.equal(one[n], expected[n]) for one in found for n in expected)
    assert all(a is b for a, b in zip(parameters, learner.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(parameters, values, strict=True))


class Locked(nn.Module):
    """Holds what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.net, self.lock = nn.Linear(4, 3), threading.Lock()

    def forward(self, x):
        with self.lock:
            return self.net(x)


def test_a_model_that_cannot_be_copied():
    x, y = torch.randn(1, 6, 4), torch.randint(3, (1, 6))
    learner = MAML(Locked())
    learner.meta_gradient(TaskBatch(x, y, x, y))
    with pytest.raises(InputError, match=r"the model cannot be copied .*lock"):
        learner.adapt(x[0], y[0])
