"""A learner is a module: names, states, modes, types, and how it is shown."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError, Parallel, ProtoMAML, Reptile
from fewstep.learners.finetune import FineTune

from .every import LEARNERS, Scaled, every_learner, model, plus_plus, seeded, tasks
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
    assert set(learner.meta_gradient(_float(tasks()))[1]) == set(learned[:-2])
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


def _float(batch):
    low = (t.float() if t.is_floating_point() else t for t in batch.tensors)
    return dataclasses.replace(batch.with_tensors(low), classes=batch.classes)


@every_learner
def test_another_type(make):
    learner, batch = make(), tasks()
    learner.float()
    low = _float(batch)
    expected, _ = seeded(learner.meta_gradient, low)
    learner.double()
    assert torch.float32 not in {value.dtype for value in learner.state_dict().values()}
    found, gradient = seeded(learner.meta_gradient, batch)
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-4)
    assert {value.dtype for value in gradient.values()} == {torch.float64}
    with pytest.raises(InputError, match=r"the model's parameters are torch.float64"):
        learner.meta_gradient(low)


NORMS = {
    "with running statistics": lambda: nn.BatchNorm1d(6),
    "without": lambda: nn.BatchNorm1d(6, track_running_stats=False),
    "without weights": lambda: nn.BatchNorm1d(6, affine=False),
    "without both": lambda: nn.BatchNorm1d(6, affine=False, track_running_stats=False),
}
KINDS = {
    "maml": lambda network, norm: MAML(network, 0.3, 2, norm=norm),
    "protomaml": lambda network, norm: ProtoMAML(network, 0.3, 2, norm=norm),
    "reptile": lambda network, norm: Reptile(network, 0.3, 2, norm=norm),
    "finetune": lambda network, norm: FineTune(network, WAYS + 1, 0.3, 2, norm=norm),
    "parallel": lambda network, norm: Parallel(MAML(network, 0.3, 2, norm=norm), 2),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("layer", [*NORMS.values(), None], ids=[*NORMS, "frozen by the user"])
@pytest.mark.parametrize("norm", ["transductive", "inductive"])
def test_modes_change_dropout_and_no_norm(kind, layer, norm):
    made = nn.BatchNorm1d(6) if layer is None else layer()
    network = model(made.double(), nn.Dropout(0.4))
    if layer is None:
        made.running_mean.fill_(0.3)
        made.eval()
    before = [part.training for part in network.modules()]
    learner, batch = kind(network, norm), tasks()
    assert [part.training for part in network.modules()] == before
    expected = learner.evaluate(batch)
    training, evaluation = seeded(learner.meta_gradient, batch), None
    for _ in range(2):
        assert learner.eval() is learner
        assert not learner.training
        assert {p.training for p in learner.modules() if isinstance(p, nn.Dropout)} == {False}
        torch.testing.assert_close(learner.evaluate(batch), expected, rtol=0, atol=0)
        one, other = learner.meta_gradient(batch), learner.meta_gradient(batch)
        torch.testing.assert_close(one, other, rtol=0, atol=0)
        evaluation = one
        assert learner.train() is learner
        torch.testing.assert_close(learner.evaluate(batch), expected, rtol=0, atol=0)
        torch.testing.assert_close(seeded(learner.meta_gradient, batch), training, rtol=0, atol=0)
    assert not torch.isclose(evaluation[0], training[0])
    assert learner.meta_gradient(batch)[0] != learner.meta_gradient(batch)[0]


def test_evaluation_mode_is_that_of_a_model_without_dropout():
    plain = MAML(model(nn.BatchNorm1d(6).double(), nn.Identity()), 0.3, 2)
    learner = MAML(model(nn.BatchNorm1d(6).double(), nn.Dropout(0.4)), 0.3, 2).eval()
    found, expected = (each.meta_gradient(tasks()) for each in (learner, plain))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("make", [LEARNERS["maml"], plus_plus, LEARNERS["parallel"]])
def test_freezing_all_and_back(make):
    learner = make()
    learned = [name for name, p in learner.named_parameters() if p.requires_grad]
    learner.requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in learner.parameters())
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        learner(tasks())
    learner.requires_grad_()
    assert [name for name, p in learner.named_parameters() if p.requires_grad] == learned


def test_how_a_learner_is_shown():
    assert repr(MAML(model(), 0.4, 2)).splitlines() == [
        "MAML(",
        "  inner_lr=0.4, inner_steps=2",
        "  (model): Sequential(",
        "    (0): Linear(in_features=4, out_features=6, bias=True)",
        "    (1): Tanh()",
        "    (2): Linear(in_features=6, out_features=3, bias=True)",
        "  )",
        ")",
    ]


@pytest.mark.parametrize(
    ("learner", "told"),
    [
        (lambda: MAML(model(), order="first", loss="mse"), "order='first', loss=mse_loss"),
        (lambda: MAML(model(), compile=True), "inner_steps=1, compile=True\n"),
        (lambda: MAML(model(), step_sizes="per-step"), "(_step_sizes): 4 tensors"),
        (lambda: MAML(model(), metrics={"mae": torch.dist}), "metrics={mae}"),
        (lambda: MAML(model(), adapting=["0"]), "adapting=['0']"),
        (lambda: FineTune(model(), 6, new_head="zeros"), "classes=6, inner_lr=0.1, inner_steps=5"),
        (lambda: Parallel(MAML(model()), 2), "workers=2\n  (learner): MAML("),
    ],
)
def test_what_is_shown_of_the_settings(learner, told):
    shown = repr(learner())
    assert set(told.split(", ")) <= set(shown.replace("\n  (", ", (").split(", ")) or told in shown
