"""Modules that are compiled, by the user or by the learner, and change."""

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
