"""The adapted model: called with one example or many, saved, loaded, and adapted again."""

import copy
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import (
    MAML,
    InputError,
    ProtoMAML,
    TaskBatch,
)
from tests.factory import cnn, make_pictures
from tests.plain import deviation

NORMS = ("transductive", "inductive")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("tracks", [True, False])
def test_one_example_at_a_time_unless_told_otherwise(norm, tracks):
    tasks = make_pictures()
    x, y, query_x, _ = tasks.task(0)
    learner = MAML(cnn(tracks=tracks), 0.4, 2, norm=norm)
    adapted = learner.adapt(x, y)
    together = adapted(query_x)
    alone = torch.cat([adapted(one[None]) for one in query_x])
    torch.testing.assert_close(alone, together)
    evaluated = learner.evaluate(tasks, 2, "inductive")
    loss = F.cross_entropy(together, tasks.query_y[0])
    torch.testing.assert_close(loss, evaluated.losses[0, -1])


@pytest.mark.parametrize("norm", NORMS)
def test_its_outputs_carry_no_graph_of_the_adaptation(norm):
    learner = MAML(cnn(), 0.4, 2)
    adapted = learner.adapt(*make_pictures().task(0)[:2], norm=norm)
    assert all(value.is_leaf for value in (*adapted.parameters(), *adapted.buffers()))
    adapted(make_pictures().query_x[0]).sum().backward()
    assert all(p.grad is None for p in learner.parameters())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("tracks", [True, False])
def test_its_state_fits_the_users_module(tmp_path, norm, tracks):
    tasks = make_pictures()
    x, y, query_x, _ = tasks.task(0)
    model = cnn(tracks=tracks)
    adapted = MAML(model, 0.4, 3).adapt(x, y, norm=norm)
    torch.save(adapted.state_dict(), tmp_path / "adapted.pt")
    own = cnn(tracks=tracks)
    own.load_state_dict(torch.load(tmp_path / "adapted.pt", weights_only=True))
    expected = MAML(model, 0.4, 3).adapt(x, y, norm="inductive" if tracks else "transductive")
    # In eval mode the support set's statistics are what a batch norm that keeps any uses.
    torch.testing.assert_close(own.eval()(query_x), expected(query_x))
    again = copy.deepcopy(adapted)
    assert torch.equal(again(query_x), adapted(query_x))


@pytest.mark.parametrize("norm", NORMS)
def test_instance_norm_of_the_users_stays_in_training_mode(norm):
    """It normalises each example by itself, for which the state has no numbers."""

    def model():
        changed = cnn()
        changed[1] = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
        return changed

    x, y, query_x, _ = make_pictures().task(0)
    adapted = MAML(model(), 0.4, 2).adapt(x, y, norm=norm)
    own = model()
    own.load_state_dict(adapted.state_dict())
    own.eval()[1].train()
    torch.testing.assert_close(own(query_x), adapted(query_x))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("tracks", [True, False])
@pytest.mark.parametrize("kind", [MAML, ProtoMAML])
def test_one_step_and_then_two_are_three(norm, tracks, kind):
    x, y, query_x, _ = make_pictures(dtype=torch.float64).task(0)
    learner = kind(cnn(tracks=tracks, dtype=torch.float64), 0.4)
    expected = learner.adapt(x, y, 3, norm)
    once = learner.adapt(x, y, 1, norm)
    before = once(query_x)
    found = MAML(once, 0.4).adapt(x, y, 2, norm)
    torch.testing.assert_close(found(query_x), expected(query_x), rtol=1e-10, atol=1e-12)
    assert torch.equal(once(query_x), before)


def test_an_adapted_model_is_meta_trained_like_any_other():
    tasks = make_pictures(dtype=torch.float64)
    adapted = MAML(cnn(dtype=torch.float64), 0.4).adapt(*tasks.task(0)[:2], 1)
    plain = cnn(dtype=torch.float64)
    plain.load_state_dict(adapted.state_dict())
    found, expected = (MAML(m, 0.1, 2).meta_gradient(tasks)[1] for m in (adapted, plain))
    assert deviation(found, expected) < 1e-12


def test_a_layer_that_was_in_eval_mode_stays_as_it_was():
    model = cnn()
    model(torch.randn(5, 1, 4, 4))
    model[1].eval()
    adapted = MAML(model, 0.4).adapt(*make_pictures().task(0)[:2])
    assert torch.equal(adapted[1].running_mean, model[1].running_mean)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off_they_are_on_inside(off):
    tasks = make_pictures()
    learner = MAML(cnn(), 0.4, 2)
    expected = learner.evaluate(tasks, 2).losses, learner.meta_gradient(tasks)[0]
    with off():
        torch.testing.assert_close(learner.evaluate(tasks, 2).losses, expected[0])
        torch.testing.assert_close(learner.meta_gradient(tasks)[0], expected[1])
        adapted = learner.adapt(*tasks.task(0)[:2])
        assert not adapted(tasks.query_x[0]).requires_grad
    assert all(p.requires_grad and not p.is_inference() for p in adapted.parameters())


def test_inference_tensors_are_one_clear_line():
    with torch.inference_mode():
        tasks = make_pictures()
    with pytest.raises(InputError, match=r"made under torch.inference_mode"):
        MAML(cnn()).meta_gradient(tasks)
    with torch.inference_mode():
        model = cnn()
    with pytest.raises(InputError, match=r"made under torch.inference_mode"):
        MAML(model).evaluate(make_pictures(), 1)


def _freeze(model):
    model[0].requires_grad_(False)


def _unfreeze(model):
    model[0].requires_grad_(True)


@pytest.mark.parametrize(("before", "after"), [(_unfreeze, _freeze), (_freeze, _unfreeze)])
@pytest.mark.parametrize("settings", [{}, {"adapting": "body"}, {"compile": True}])
def test_what_is_frozen_is_looked_at_when_asked(before, after, settings):
    tasks = make_pictures(dtype=torch.float64)
    model, fresh = cnn(dtype=torch.float64), cnn(dtype=torch.float64)
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
    model = cnn()
    _freeze(model)
    learner = MAML(model, 0.4, 2, step_sizes="per-step")
    _unfreeze(model)
    with pytest.raises(InputError, match=r"'0.weight' .* has no step sizes; make a new learner"):
        learner.meta_gradient(make_pictures())
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        learner.evaluate(make_pictures(), 1)


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
    with pytest.raises(InputError, match=r"the model cannot be copied \("):
        learner.adapt(x[0], y[0])


class Closure(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.f = lambda x: self.a(x)

    def forward(self, x):
        return self.f(x)


def test_an_adapted_copy_that_leads_back_to_the_model():
    x, y = torch.randn(1, 6, 4), torch.randint(3, (1, 6))
    learner = MAML(Closure(), 0.5, 3)
    learner.meta_gradient(TaskBatch(x, y, x, y))
    with pytest.raises(InputError, match="the adapted copy of the model does not predict"):
        learner.adapt(x[0], y[0])
