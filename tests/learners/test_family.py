"""Which parameters adapt, and by which optimiser."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewstep import MAML, InputError
from fewstep.models.context import WithContext
from fewstep.models.conv4 import conv4

from .shared import assert_adapted_as_evaluated
from .test_maml_plus_plus import network, some_tasks


def _changed(learner, model):
    tasks = some_tasks()
    adapted = learner.adapt(tasks.support_x[0], tasks.support_y[0], 2)
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
    ("name", "optimizer"),
    [
        ("momentum", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        ("adam", lambda p: torch.optim.Adam(p, 0.1, eps=1e-5)),
    ],
)
def test_the_inner_optimiser_is_that_of_torch_and_starts_each_task_afresh(name, optimizer):
    tasks, found = some_tasks(), None
    learner = MAML(network(), 0.1, 3, inner_optimizer=name)
    found = learner.evaluate(tasks, 3).losses
    for number in range(len(tasks)):
        adapted = copy.deepcopy(network())
        # The bias before batch norm has a gradient of rounding alone. torch adds epsilon to the
        # root, and not within it.
        inner = optimizer([p for n, p in adapted.named_parameters() if n != "0.bias"])
        for step in range(4):
            loss = F.cross_entropy(adapted(tasks.query_x[number]), tasks.query_y[number])
            assert found[number, step].item() == pytest.approx(loss.item(), rel=2e-3)
            inner.zero_grad()
            F.cross_entropy(adapted(tasks.support_x[number]), tasks.support_y[number]).backward()
            inner.step()


def test_a_context_changes_nothing_until_it_adapts_and_then_it_alone_adapts():
    torch.manual_seed(0)
    model = conv4(1, 28, 5, 8)
    wrapped = WithContext(model, 3, "2", 8)
    x = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(wrapped(x), model(x))
    adapted = MAML(wrapped, 1.0, 2, adapting="context").adapt(x, torch.arange(4))
    assert adapted.context.norm() > 0
    others = [name for name, _ in wrapped.named_parameters() if name != "context"]
    assert all(torch.equal(adapted.get_parameter(n), wrapped.get_parameter(n)) for n in others)
    assert not model[2]._forward_hooks
    assert not torch.equal(adapted(x), model(x))


def test_a_hook_of_the_user_is_called():
    torch.manual_seed(0)
    model, calls = conv4(1, 28, 5, 8), []
    model[0][1].register_forward_hook(lambda *_: calls.append(1))
    x, y = torch.randn(5, 1, 28, 28), torch.arange(5)
    MAML(model, 0.1, 1).adapt(x, y)
    assert len(calls) > 1
