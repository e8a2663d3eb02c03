"""The user's module after every public call: the same, bit for bit, whatever it is made of."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from fewstep import (
    MAML,
    ImplicitMAML,
    ProtoMAML,
    ProtoNet,
    Reptile,
    check_gradient,
)
from tests.exactness.user_modules import Scaled
from tests.factory import make_tasks
from tests.plain import deviation
from tests.snapshot import differences, snapshot

WIDTH = 4


pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(weight_norm|spectral_norm).* is deprecated",
    "ignore:.*vmap",
    "ignore:The .grad attribute of a Tensor that is not a leaf",
)


class Keeping(nn.Module):
    """Leaves traces in all places that a module has."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(WIDTH), persistent=False)
        self.last, self.count, self.all, self.by_name = None, 0, [], {"n": [0]}
        self.plain = torch.zeros(WIDTH)

    def forward(self, x):
        self.calls += 1
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        self.plain += 1
        self.count += 1
        self.all.append(x)
        self.by_name["n"].append(self.count)
        self.by_name[self.count] = x
        self.last = self.inside(x)
        if not hasattr(self, "late"):
            self.register_buffer("late", torch.ones(WIDTH))
        return self.last * self.late


class Hooked(nn.Module):
    """Keeps what passes, by hooks, one of which goes after its first call."""

    def __init__(self):
        super().__init__()
        self.body, self.kept = nn.Linear(WIDTH, WIDTH), None
        self.body.register_forward_hook(self.keep)
        self.once = self.body.register_forward_pre_hook(self.remove)

    def keep(self, _module, _given, result):
        self.kept = result

    def remove(self, _module, _given):
        self.once.remove()

    def forward(self, x):
        self.body(x)
        return self.kept


def _spectral(old):
    norm = nn.utils.spectral_norm if old else parametrizations.spectral_norm
    return norm(nn.Linear(WIDTH, WIDTH))


def _weight(old):
    norm = nn.utils.weight_norm if old else parametrizations.weight_norm
    return norm(nn.Linear(WIDTH, WIDTH))


class Series(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.body = kind(1, WIDTH, batch_first=True)

    def forward(self, x):
        return self.body(x.unsqueeze(-1))[0][:, -1]


PARTS = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "batch norm": lambda: nn.BatchNorm1d(WIDTH),
    "batch norm without statistics": lambda: nn.BatchNorm1d(WIDTH, track_running_stats=False),
    "layer norm": lambda: nn.LayerNorm(WIDTH),
    "dropout": lambda: nn.Dropout(0.2),
    "keeping": lambda: Keeping(nn.Linear(WIDTH, WIDTH)),
    "hooked": Hooked,
    "weight norm": lambda: _weight(old=False),
    "old weight norm": lambda: _weight(old=True),
    "spectral norm": lambda: _spectral(old=False),
    "old spectral norm": lambda: _spectral(old=True),
    "compiled": lambda: torch.compile(nn.Linear(WIDTH, WIDTH), backend="eager"),
    "gru": lambda: Series(nn.GRU),
    "frozen": lambda: nn.Linear(WIDTH, WIDTH).requires_grad_(False),
}


LEARNERS = {
    "maml": lambda m: MAML(m, 0.1, 2),
    "loop": lambda m: MAML(m, 0.1, 2, execution="loop", memory="flat"),
    "first": lambda m: MAML(m, 0.1, 2, order="first", norm="inductive"),
    "reptile": lambda m: Reptile(m, 0.1, 2),
    "protomaml": lambda m: ProtoMAML(m, 0.1, 2),
    "protonet": ProtoNet,
}


def every_call(learner, tasks):
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 2)
    learner.evaluate(tasks, 1, "inductive")
    for norm in ("inductive", "transductive"):
        learner.adapt(*tasks.task(0)[:2], norm=norm)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    parts=st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=4),
    learner=st.sampled_from(sorted(LEARNERS)),
    nested=st.booleans(),
    shared=st.booleans(),
    called=st.booleans(),
    training=st.booleans(),
    number=st.sampled_from([2, 9]),
)
def test_a_module_is_left_as_it_is(parts, learner, nested, shared, called, training, number):
    torch.manual_seed(0)
    layers = [PARTS[name]() for name in parts]
    if shared and not any("batch norm" in name for name in parts):
        layers.append(layers[0])
    body = [nn.Sequential(*layers)] if nested else layers
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), *body, nn.Linear(WIDTH, 3))
    tasks = make_tasks(number, dtype=torch.float32)
    if called or not training:
        # Afterwards it holds results that have a graph, and batch norms have seen something.
        model(tasks.support_x[0])
        model.train(training)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    learner = LEARNERS[learner](model)
    before, tasks_before = snapshot(model), copy.deepcopy(tasks.tensors)
    every_call(learner, tasks)
    assert not differences(before, snapshot(model))
    assert all(torch.equal(a, b) for a, b in zip(tasks.tensors, tasks_before, strict=True))


@pytest.mark.parametrize("fails", ["forward", "loss", "metric"])
def test_a_module_is_left_as_it_is_after_an_error_too(fails):
    class Sudden(nn.Module):
        left = 3

        def forward(self, x):
            Sudden.left -= 1
            if fails == "forward" and Sudden.left < 0:
                raise RuntimeError("sudden")
            return x

    def loss(prediction, target):
        if fails == "loss" and Sudden.left < 0:
            raise RuntimeError("sudden")
        return nn.functional.cross_entropy(prediction, target)

    def metric(prediction, target):
        if fails == "metric":
            raise RuntimeError("sudden")
        return 0.0

    model = nn.Sequential(Keeping(nn.Linear(WIDTH, WIDTH)), Sudden(), nn.Linear(WIDTH, 3))
    before = snapshot(model)
    learner = MAML(model, 0.1, 3, loss=loss, metrics={"m": metric}, execution="loop")
    with pytest.raises((RuntimeError, ValueError), match="sudden"):
        learner.meta_gradient(make_tasks(3, dtype=torch.float32))
    assert not differences(before, snapshot(model))


def test_reports_leave_it_as_it_is():
    model = nn.Sequential(Keeping(nn.Linear(WIDTH, WIDTH)), nn.Tanh(), nn.Linear(WIDTH, 3))
    before = snapshot(model)
    ImplicitMAML(model, 0.1).meta_gradient(make_tasks(2, dtype=torch.float32))
    check_gradient(MAML(model, 0.1), make_tasks(2, dtype=torch.float32), directions=1)
    assert not differences(before, snapshot(model))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
def test_a_compiled_learner_leaves_nothing_in_the_model():
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 6)), Scaled(), nn.Linear(3, 3)).double()
    model[1].net[0] = nn.Linear(6, 6).double()
    before, tasks = snapshot(model), make_tasks(2)
    learner = MAML(model, 0.2, 2, compile=True)
    found = learner.meta_gradient(tasks)[1]
    learner.evaluate(tasks, 1)
    learner.adapt(*tasks.task(0)[:2])
    assert not differences(before, snapshot(model))
    assert deviation(found, MAML(model, 0.2, 2).meta_gradient(tasks)[1]) < 1e-10
