"""The last layer of a classifier, models that have none, and the parameters that adapt."""

from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from fewstep import MAML, InputError, ProtoMAML, ProtoNet
from tests.factory import cnn, make_pictures, make_tasks
from tests.learners.shared import assert_adapted_as_evaluated

network = partial(cnn, nn.Tanh(), dtype=torch.float64)
some_tasks = partial(make_pictures, shots=2, dtype=torch.float64)

ODD_HEADS = {
    "weight norm": lambda m: parametrizations.weight_norm(m[2]),
    "prune": lambda m: nn.utils.prune.l1_unstructured(m[2], "weight", 0.5),
    "tied": lambda m: setattr(m[2], "weight", m[0].weight),
    "kind": lambda m: m.__setitem__(2, type("Cosine", (nn.Linear,), {})(4, 3)),
}


@pytest.mark.parametrize("change", ODD_HEADS.values(), ids=ODD_HEADS)
@pytest.mark.parametrize("kind", [ProtoNet, ProtoMAML])
def test_heads_that_prototypes_cannot_stand_in(kind, change):
    import torch.nn.utils.prune  # noqa: F401

    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(4, 3))
    change(model)
    with pytest.raises(InputError, match=r"the last layer '2.*' is no plain nn.Linear"):
        kind(model)


def test_a_head_that_is_tied_adapts_as_a_whole():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 3)).double()
    model[2].weight = model[0].weight
    learner = MAML(model, 0.5, adapting="head", head="2")
    tasks = make_tasks(1)
    adapted = learner.adapt(*tasks.task(0)[:2])
    assert not torch.equal(adapted[0].weight, model[0].weight)
    assert torch.equal(adapted[3].weight, model[3].weight)


def _changed(learner, model, steps=2):
    tasks = some_tasks()
    adapted = learner.adapt(tasks.support_x[0], tasks.support_y[0], steps)
    before = dict(model.named_parameters())
    return [n for n, p in adapted.named_parameters() if not torch.equal(p, before[n])]


BODY = ["0.weight", "0.bias", "1.weight", "1.bias"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"adapting": "head"}, ["4.weight", "4.bias"]),
        ({"adapting": "head", "head": "0"}, ["0.weight", "0.bias"]),
        ({"adapting": "body"}, BODY),
        ({"adapting": ["4.bias", "1"]}, ["1.weight", "1.bias", "4.bias"]),
    ],
)
def test_only_the_chosen_parameters_adapt(settings, expected):
    model = network()
    # A bias before batch norm has no influence, and so stays where it is.
    found = [n for n in _changed(MAML(model, 0.2, **settings), model) if n != "0.bias"]
    assert found == [n for n in expected if n != "0.bias"]


@pytest.mark.parametrize(
    "settings",
    [
        {"adapting": "head"},
        {"adapting": "body"},
        {"inner_optimizer": "momentum"},
        {"inner_optimizer": "adam"},
        {"step_sizes": "per-element"},
    ],
)
@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_training_judging_and_the_adapted_module_adapt_alike(settings, memory):
    learner = MAML(network(), 0.2, 2, execution="loop", memory=memory, **settings)
    tasks = some_tasks()
    loss, _ = learner.meta_gradient(tasks)
    torch.testing.assert_close(loss, learner.evaluate(tasks, 2).losses[:, -1].mean())
    assert_adapted_as_evaluated(learner, tasks, 2)


def test_what_does_not_adapt_is_meta_learned_all_the_same():
    _, gradient = MAML(network(), 0.2, 2, adapting="head").meta_gradient(some_tasks())
    assert gradient["0.weight"].norm() > 0


@pytest.mark.parametrize(
    ("model", "settings", "told"),
    [
        (nn.Conv2d(1, 3, 4), {"adapting": "head"}, "no nn.Linear inside that could be the head"),
        (nn.Linear(4, 3), {"adapting": "body"}, "adapting is 'body', and no such parameter"),
        (network(), {"adapting": "head", "head": "9"}, "the head '9' has no parameter"),
        (network(), {"adapting": ["0", "tail"]}, "adapting names 'tail', where the model has no"),
        (nn.ModuleDict({"inner_lr": nn.Linear(2, 2)}), {}, "'inner_lr.weight', a name that"),
    ],
)
def test_a_part_that_is_not_there(model, settings, told):
    with pytest.raises(InputError, match=told):
        MAML(model, **settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"adapting": "body"}, "head_rows is shared, and '4.weight' does not adapt: the rows of"),
        ({"adapting": ["0", "4.weight"]}, "head_rows is shared, and '4.bias' does not adapt"),
        ({"adapting": ["0", "4"], "head": "0"}, "the last layer '0' is no plain nn.Linear"),
    ],
)
def test_rows_that_would_stay_the_same(settings, told):
    with pytest.raises(InputError, match=told):
        MAML(network(), head_rows="shared", **settings)
    with pytest.raises(InputError, match="head_rows is 'one'; expected one of separate, shared"):
        MAML(network(), head_rows="one")


def test_a_head_that_is_frozen_later():
    learner = MAML(network(), head_rows="shared")
    learner.model[4].bias.requires_grad_(False)
    with pytest.raises(InputError, match=r"'4.bias' does not adapt"):
        learner.meta_gradient(some_tasks())


@pytest.mark.parametrize("inner_optimizer", ["sgd", "adam"])
def test_shared_rows_by_the_chain_rule(inner_optimizer):
    """The gradient of each row is the mean of those of rows that are their mean."""
    one, tasks = MAML(network(), 0.05, 3, inner_optimizer=inner_optimizer), some_tasks()
    shared = MAML(network(), 0.05, 3, inner_optimizer=inner_optimizer, head_rows="shared")
    with torch.no_grad():
        for parameter in one.model[4].parameters():
            parameter.copy_(parameter.mean(0, keepdim=True).expand_as(parameter))
    (loss, expected), (found_loss, found) = (each.meta_gradient(tasks) for each in (one, shared))
    for name in ("4.weight", "4.bias"):
        expected[name] = expected[name].mean(0, keepdim=True).expand_as(expected[name])
    torch.testing.assert_close((found_loss, found), (loss, expected), rtol=1e-12, atol=1e-13)


def test_with_shared_rows_the_order_of_classes_is_nothing():
    tasks = some_tasks()
    renamed = replace(tasks, support_y=(tasks.support_y + 1) % 3, query_y=(tasks.query_y + 1) % 3)
    for rows, alike in (("shared", True), ("separate", False)):
        learner = MAML(network(), 0.2, 3, head_rows=rows)
        one, other = (learner.evaluate(each).losses for each in (tasks, renamed))
        assert torch.allclose(one, other, rtol=1e-10) == alike


class Mixed(nn.Sequential):
    def forward(self, x):
        return super().forward(x).flip(1).cumsum(1)


def _of_hook():
    model = network()
    model.register_forward_hook(lambda part, inputs, output: output.cumsum(1))
    return model


def _of_another_forward():
    model = network()
    model.forward = lambda x: nn.Sequential.forward(model, x).cumsum(1)
    return model


def _by_position(prediction, target):
    return F.cross_entropy(prediction * torch.arange(1.0, 4.0), target)


NOT_ALONE = {
    "another optimiser": (network, {"inner_optimizer": "momentum"}),
    "another loss": (network, {"loss": _by_position}),
    "mixed afterwards": (lambda: Mixed(*network()), {}),
    "mixed by a hook": (_of_hook, {}),
    "mixed by a function": (_of_another_forward, {}),
    "mixed by a layer": (
        lambda: nn.Sequential(*network(), nn.Linear(3, 3).double()),
        {"head": "4"},
    ),
    "classes elsewhere": (
        lambda: nn.Sequential(*network()[:3], nn.Flatten(2), nn.Linear(16, 3)).double(),
        {},
    ),
}


@pytest.mark.parametrize("name", NOT_ALONE)
def test_a_body_that_may_move_in_the_first_step(name):
    make, settings = NOT_ALONE[name]
    learner = MAML(make(), 0.2, 1, head_rows="shared", **settings)
    assert learner._loop.first is None


def test_the_first_step_from_one_row_moves_the_head_alone():
    learner = MAML(network(), 0.2, 2, head_rows="shared")
    head = ["4.weight", "4.bias"]
    for steps, moved in [(1, head), (2, [*BODY, *head])]:
        found = _changed(learner, learner.model, steps)
        assert [n for n in found if n != "0.bias"] == [n for n in moved if n != "0.bias"]


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [{}, {"memory": "flat"}, {"order": "first"}, {"step_sizes": "per-step"},
     {"multi_step_loss": 10}],
)  # fmt: skip
def test_what_is_not_computed_in_the_first_step_is_zero(steps, settings, monkeypatch):
    tasks = some_tasks()
    learner = MAML(network(), 0.2, steps, head_rows="shared", **settings)
    loss, gradient = learner.meta_gradient(tasks)
    monkeypatch.setattr("fewstep.learners.maml.moved_first", lambda *_: None)
    whole = MAML(network(), 0.2, steps, head_rows="shared", **settings)
    expected_loss, expected = whole.meta_gradient(tasks)
    torch.testing.assert_close(loss, expected_loss)
    torch.testing.assert_close(gradient, expected)
