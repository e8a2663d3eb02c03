"""Modules that keep things between calls, by hooks, caches and counters."""

import copy
import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML
from tests.exactness.paths import PATHS, assert_as_plain
from tests.factory import make_tasks, mlp
from tests.plain import deviation


class Kept(nn.Module):
    """A hook keeps the result of a part, and the rest computes with it."""

    def __init__(self):
        super().__init__()
        self.body = mlp()
        self.body[1].register_forward_hook(self.keep)
        self.kept = None

    def keep(self, _module, _given, result):
        self.kept = result

    def forward(self, x):
        self.body(x)
        return self.body[2](self.kept) * 2


class KeptInList(Kept):
    def __init__(self):
        super().__init__()
        self.all = []

    def keep(self, _module, _given, result):
        self.all.append(result)

    def forward(self, x):
        self.body(x)
        return self.body[2](self.all[-1]) * len(self.all) * 2


@pytest.mark.parametrize("kind", [Kept, KeptInList])
def test_what_a_hook_keeps_is_of_this_call(kind):
    def call(params, x):
        hidden = F.linear(x, params["body.0.weight"], params["body.0.bias"]).tanh()
        return 2 * F.linear(hidden, params["body.2.weight"], params["body.2.bias"])

    model = kind()
    assert_as_plain(model, model, call=call)
    assert model.kept is None
    assert not getattr(model, "all", None)


def test_an_activation_that_a_user_call_left_is_no_hindrance():
    model = Kept()
    model(make_tasks().support_x[0])
    kept = model.kept
    tasks = make_tasks()
    learner = MAML(model, 0.4)
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 1)
    learner.adapt(*tasks.task(0)[:2])
    assert model.kept is kept


class Cached(nn.Module):
    """Computes part of itself once in eval mode."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.bias = nn.Parameter(torch.ones(3, dtype=torch.float64))
        self.cache = {}

    def forward(self, x):
        twice = self.bias * 2
        return self.net(x) + (twice if self.training else self.cache.setdefault("twice", twice))


def test_a_cache_in_eval_mode_is_of_this_call():
    model, tasks = Cached(), make_tasks()
    learner = MAML(model, 0.4, 2)
    loss, _ = learner.meta_gradient(tasks)
    torch.testing.assert_close(learner.evaluate(tasks, 2).losses[:, -1].mean(), loss)
    assert not model.cache


class Hidden(nn.Module):
    """Its batch norm stands in a plain list, and so is no part of it for PyTorch."""

    def __init__(self):
        super().__init__()
        self.body = mlp()
        self.others = [nn.BatchNorm1d(3).double()]

    def forward(self, x):
        return self.others[0](self.body(x))


def test_modules_in_plain_lists_stay_as_they_are():
    model = Hidden()
    before = copy.deepcopy(model.others[0].state_dict())
    tasks = make_tasks()
    learner = MAML(model, 0.4)
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 1)
    after = model.others[0].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@dataclasses.dataclass
class Box:
    count: int = 0
    kept: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class SlottedBox(Box):
    last: int = 0


@dataclasses.dataclass(slots=True)
class SlotsAlone:
    kept: list = dataclasses.field(default_factory=list)
    last: int = 0


class Stateful(nn.Module):
    """Keeps account in all kinds of things."""

    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.box, self.name, self.counter = Box(), SimpleNamespace(n=0), Counter()
        self.slotted, self.slots_alone = SlottedBox(), SlotsAlone()
        self.array, self.ema = numpy.zeros(2), {"m": torch.zeros(3, dtype=torch.float64)}
        self.norms = (nn.BatchNorm1d(3).double(),)

    def forward(self, x):
        self.box.count += 1
        self.box.kept.append(x)
        for slotted in (self.slotted, self.slots_alone):
            slotted.kept.append(x)
            slotted.last += 1
        self.name.n += 1
        self.counter["calls"] += 1
        self.array += 1
        out = self.norms[0](self.net(x))
        self.ema["m"].mul_(0.9).add_(out.detach().mean(0), alpha=0.1)
        return out + self.ema["m"] * self.box.count


@pytest.mark.parametrize("path", ["loop", "flat"])
def test_state_of_all_kinds_goes_back(path):
    model, tasks = Stateful(), make_tasks()
    norm = {name: value.clone() for name, value in model.norms[0].state_dict().items()}
    expected = MAML(model, 0.1, 2, execution="loop").meta_gradient(tasks)[1]
    found = MAML(model, 0.1, 2, **PATHS[path]).meta_gradient(tasks)[1]
    assert deviation(found, expected) < 1e-12
    assert model.box == Box()
    assert model.slotted == SlottedBox()
    assert model.slots_alone == SlotsAlone()
    assert model.name == SimpleNamespace(n=0)
    assert not model.counter
    assert not model.array.any()
    assert not model.ema["m"].any()
    after = model.norms[0].state_dict()
    assert all(torch.equal(after[name], value) for name, value in norm.items())
