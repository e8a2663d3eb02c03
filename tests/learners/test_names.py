"""The names of parameters, and states that are saved and loaded by them."""

import copy

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError
from tests.factory import make_tasks

from .every import Scaled, every_learner, model, seeded, tasks
from .shared import WAYS


def changed(make):
    """A learner like another, with other values everywhere."""
    learner = make()
    with torch.no_grad():
        for value in learner.state_dict().values():
            value += 1
    return learner


@every_learner
def test_a_state_is_loaded_strictly(make):
    learner, other, batch = make(), changed(make), tasks()
    expected = seeded(learner.evaluate, batch)
    state = copy.deepcopy(learner.state_dict())
    assert other.load_state_dict(state) == ([], [])
    torch.testing.assert_close(other.state_dict(), state, rtol=0, atol=0)
    torch.testing.assert_close(seeded(other.evaluate, batch), expected, rtol=0, atol=0)


@every_learner
def test_a_module_around_a_learner_has_its_names(make):
    around, other = nn.ModuleDict({"inside": make()}), nn.ModuleDict({"inside": changed(make)})
    state = around.state_dict()
    assert list(state) == [f"inside.{name}" for name in make().state_dict()]
    other.load_state_dict(copy.deepcopy(state))
    torch.testing.assert_close(other.state_dict(), state, rtol=0, atol=0)


def test_the_names_of_a_state():
    parts = {"loss": Scaled(), "step_sizes": "per-step", "per_step_affine": True}
    network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    learner = MAML(network, 0.1, 1, **parts, per_step_statistics=True)
    learned = ["0.weight", "0.bias", "2.weight", "2.bias", "loss.scale"]
    learned += [f"inner_lr.{name}" for name in learned[:4]]
    learned += [f"per_step.1.{n}" for n in ("weight", "bias", "running_mean", "running_var")]
    assert list(dict(learner.named_parameters())) == learned
    assert list(dict(learner.named_parameters("inside"))) == [f"inside.{n}" for n in learned]
    assert set(learner.state_dict()) == {*learned, *network.state_dict()}
    assert set(learner.meta_gradient(make_tasks(dtype=torch.float32))[1]) == set(learned[:-2])
    assert network.load_state_dict(learner.state_dict(), strict=False).missing_keys == []


class Odd(nn.Module):
    """Parts with names that a learner could take for its own."""

    def __init__(self):
        super().__init__()
        self.model, self.loss = nn.Linear(4, 4), nn.Linear(4, 4)
        self._affine = nn.Linear(4, 4)
        self.learner = nn.ParameterDict({"weight": nn.Parameter(torch.ones(4))})

    def forward(self, x):
        x = self._affine(self.loss(self.model(x)))
        return (x * self.learner["weight"])[:, :WAYS]


@pytest.mark.parametrize("settings", [{}, {"step_sizes": "per-element"}])
def test_odd_names(settings):
    learner, other = (MAML(Odd().double(), 0.1, **settings) for _ in range(2))
    names = list(dict(Odd().named_parameters()))
    assert list(dict(learner.named_parameters()))[: len(names)] == names
    other.load_state_dict(learner.state_dict())
    found, expected = (each.meta_gradient(tasks()) for each in (other, learner))
    torch.testing.assert_close(found, expected)
    assert set(names) <= set(found[1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("0.bias"), "the state lacks '0.bias'; expected that of a learner"),
        (lambda s: s.pop("inner_lr.0.bias"), "the state lacks 'inner_lr.0.bias'"),
        (lambda s: s.update(more=torch.ones(1)), "has 'more', which the learner lacks"),
        (lambda s: s.update({"0.bias": torch.ones(5)}), r"'0.bias' of shape \[5\] where .* \[6\]"),
        (lambda s: s.clear(), r"lacks '0.weight', .* and 5 more; expected"),
    ],
)
def test_a_state_that_does_not_fit_is_not_loaded_at_all(change, told):
    learner = MAML(model(), 0.1, step_sizes="per-step")
    before = copy.deepcopy(learner.state_dict())
    state = {name: value + 1 for name, value in before.items()}
    change(state)
    with pytest.raises(InputError, match=told):
        learner.load_state_dict(state)
    torch.testing.assert_close(learner.state_dict(), before, rtol=0, atol=0)


def test_a_part_of_a_state():
    learner = MAML(model(), 0.1)
    found = learner.load_state_dict({"0.bias": torch.ones(6), "more": torch.ones(1)}, strict=False)
    assert "0.weight" in found.missing_keys
    assert found.unexpected_keys == ["more"]
    assert (learner.model[0].bias == 1).all()
