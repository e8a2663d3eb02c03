"""Modules that are compiled, by the user or by the learner, and change."""

import re
from types import SimpleNamespace

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError
from tests.exactness.paths import assert_as_plain
from tests.exactness.user_modules import Scaled
from tests.factory import make_tasks, mlp


@pytest.mark.parametrize("part", [False, True])
def test_a_compiled_module_is_computed_as_it_was_written(part):
    model, keys = mlp(), list(mlp().state_dict())
    if part:
        model[0] = torch.compile(model[0], backend="eager")
        compiled = model
    else:
        compiled = torch.compile(model, backend="eager")
    assert_as_plain(compiled, mlp())
    if not part:
        assert list(model.state_dict()) == keys
    tasks = make_tasks()
    adapted = MAML(compiled, 0.4).adapt(*tasks.task(0)[:2])
    compiled.load_state_dict(adapted.state_dict())


def test_a_module_compiled_in_place():
    model = mlp()
    model.compile(backend="eager")
    model[2].compile(backend="eager")
    assert_as_plain(model, mlp())
    assert model._compiled_call_impl is not None


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.jit.script(nn.Linear(4, 6))
        self.b = nn.Linear(6, 3)

    def forward(self, x):
        return self.b(self.a(x).tanh())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script")
def test_a_scripted_part_is_refused_by_name():
    with pytest.raises(InputError, match=r"layer 'a' is compiled by TorchScript"):
        MAML(Scripted().double()).meta_gradient(make_tasks())


CHANGES = {
    "attribute": lambda m: setattr(m, "scale", 3.0),
    "layer": lambda m: m.net.__setitem__(1, nn.LeakyReLU(0.9)),
    "hook": lambda m: m.net[1].register_forward_hook(lambda *a: 2 * a[2]),
    "patch": lambda m: setattr(m.net[1], "forward", torch.sin),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_compiled_model_that_changes_is_compiled_again(change):
    tasks, model = make_tasks(2), Scaled()
    learner = MAML(model, 0.1, compile=True)
    before = learner.meta_gradient(tasks)[0]
    change(model)
    found = learner.meta_gradient(tasks)[0]
    torch.testing.assert_close(found, MAML(model, 0.1).meta_gradient(tasks)[0])
    assert not torch.isclose(found, before)


def test_another_loss_is_compiled_too():
    tasks, learner = make_tasks(2), MAML(mlp(), 0.1, compile=True)
    learner.meta_gradient(tasks)
    learner.loss = lambda p, y: 2 * F.cross_entropy(p, y)
    expected = MAML(mlp(), 0.1, loss=learner.loss).meta_gradient(tasks)
    torch.testing.assert_close(learner.meta_gradient(tasks), expected)


class Reader(nn.Module):
    """Reads numbers that are in other things."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.listed, self.named = [1.0], {"scale": [1.0]}
        self.space = SimpleNamespace(scale=1.0)

    def forward(self, x):
        scale = self.listed[0] * self.named["scale"][0] * self.space.scale * ELSEWHERE["scale"]
        return self.net(x) * scale


class ReadingLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.options = {"smoothing": 0.0}

    def forward(self, prediction, y):
        return F.cross_entropy(prediction, y, label_smoothing=self.options["smoothing"])


ELSEWHERE = {"scale": 1.0}
INNER_CHANGES = {
    "list": lambda m, _: m.listed.__setitem__(0, 2.0),
    "deep": lambda m, _: m.named["scale"].__setitem__(0, 0.7),
    "namespace": lambda m, _: setattr(m.space, "scale", 1.5),
    "elsewhere": lambda *_: ELSEWHERE.update(scale=0.4),
    "loss": lambda _, loss: loss.options.update(smoothing=0.3),
}


@pytest.fixture
def traced_only(monkeypatch):
    """Python code runs once, as it does for a real compiler, without the time of one."""

    def traced(function, **_):
        return real(function, backend="aot_eager", fullgraph=True, dynamic=False)

    real = torch.compile
    monkeypatch.setattr("torch.compile", traced)
    monkeypatch.setitem(ELSEWHERE, "scale", 1.0)


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize("number", [2, 9])
def test_what_changes_inside_is_compiled_again(number):
    """Of all tasks at once and one by one, and when evaluating."""
    tasks, model, loss = make_tasks(number), Reader(), ReadingLoss()
    learner = MAML(model, 0.1, loss=loss, compile=True)
    plain = MAML(model, 0.1, loss=loss, execution="loop")
    before = learner.meta_gradient(tasks)[0]
    for name, change in INNER_CHANGES.items():
        change(model, loss)
        torch.testing.assert_close(learner.evaluate(tasks), plain.evaluate(tasks), msg=name)
        found, gradient = learner.meta_gradient(tasks)
        expected = plain.meta_gradient(tasks)
        torch.testing.assert_close((found, gradient), expected, msg=name)
        assert not torch.isclose(found, before), name
        before = found
    assert not learner._compiler.functions.given_up


@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m, step: m.listed.__setitem__(0, 1.0 + step), "keep a number .* in a buffer"),
        (lambda m, _: setattr(m, "space", numpy.zeros(2**20)), "more than can be looked through"),
    ],
)
def test_what_always_changes_is_not_compiled(caplog, change, reason):
    tasks, model = make_tasks(2), Reader()
    model.forward = lambda x: model.net(x) * model.listed[0]
    learner, plain = (MAML(model, 0.1, **way) for way in ({"compile": True}, {"execution": "loop"}))
    for step in range(10):
        change(model, step)
        torch.testing.assert_close(learner.meta_gradient(tasks), plain.meta_gradient(tasks))
    (told,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert re.search(reason, told)
