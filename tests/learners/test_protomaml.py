"""ProtoMAML: the last layer of each task is made of its prototypes, and differentiated through."""

import pytest
import torch
from torch import nn

from fewstep import InputError, ProtoMAML, ProtoNet, TaskBatch
from tests.factory import make_tasks
from tests.learners.shared import (
    WAYS,
    assert_adapted_as_evaluated,
    assert_unchanged_by_calls,
    gradient_error,
)

SHAPE = (1, 3, 3)


def model():
    """Its own last layer has more outputs than there are classes, and no bias."""
    torch.manual_seed(0)
    body = (nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 4))
    return nn.Sequential(*body, nn.Tanh(), nn.Linear(4, 7, bias=False)).double()


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("execution", ["loop", "vectorised"])
@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_finite_differences(norm, execution, memory):
    learner = ProtoMAML(model(), 0.3, 2, norm=norm, execution=execution, memory=memory)
    assert gradient_error(learner, make_tasks(2, shape=SHAPE)) < 1e-6


def test_a_dropped_derivative_is_noticed():
    learner = ProtoMAML(model(), 0.3, 2, order="first")
    assert gradient_error(learner, make_tasks(2, shape=SHAPE)) > 1e-3


def test_prototypes_taken_for_constants_are_noticed(monkeypatch):
    def constant(*arguments):
        return real(*arguments).detach().requires_grad_()

    import fewstep.learners.protomaml as module

    real = module.prototypes
    monkeypatch.setattr(module, "prototypes", constant)
    assert gradient_error(ProtoMAML(model(), 0.3, 2), make_tasks(2, shape=SHAPE)) > 1e-3


@pytest.mark.parametrize("norm", ["transductive", "inductive"])
@pytest.mark.parametrize("steps", [0, 3])
def test_an_adapted_module_does_as_the_evaluation_says(norm, steps):
    assert_adapted_as_evaluated(
        ProtoMAML(model(), 0.3, norm=norm), make_tasks(2, shape=SHAPE), steps
    )


def test_the_first_prediction_is_that_of_the_prototypes():
    tasks = make_tasks(2, shape=SHAPE)
    adapted = ProtoMAML(model(), 0.3).adapt(tasks.support_x[0], tasks.support_y[0], 0)
    own = model()
    features = own[:-1](tasks.support_x[0]).detach()
    means = torch.stack([features[tasks.support_y[0] == k].mean(0) for k in range(WAYS)])
    torch.testing.assert_close(adapted[-1].weight.detach(), 2 * means)
    torch.testing.assert_close(adapted[-1].bias.detach(), -means.square().sum(1))


def test_the_inner_loop_changes_the_body_and_the_last_layer():
    tasks = make_tasks(2, shape=SHAPE)
    learner = ProtoMAML(model(), 0.3)
    before, after = (learner.adapt(tasks.support_x[0], tasks.support_y[0], n) for n in (0, 1))
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        # A bias in front of batch norm has no influence.
        assert not torch.equal(one, other) or one is before[0].bias


def test_no_call_changes_the_model():
    assert_unchanged_by_calls(ProtoMAML(model(), 0.3), make_tasks(2, shape=SHAPE))


def test_no_call_draws_random_numbers():
    tasks, learner = make_tasks(2, shape=SHAPE), ProtoMAML(model(), 0.3, execution="vectorised")
    before = torch.get_rng_state()
    learner.meta_gradient(tasks)
    learner.evaluate(tasks, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_class_without_an_example():
    tasks = make_tasks(2, shape=SHAPE)
    tasks.support_y[1, tasks.support_y[1] == 1] = 2
    with pytest.raises(InputError, match="task 1 has no support example of class 1; prototypes"):
        ProtoMAML(model()).meta_gradient(tasks)


def test_a_query_label_that_the_support_set_lacks():
    tasks = make_tasks(2, shape=SHAPE)
    tasks.query_y[0, 0] = WAYS
    with pytest.raises(InputError, match="labels run from 0 to 3"):
        ProtoMAML(model()).evaluate(tasks, 1)


def test_targets_that_are_no_labels():
    x, y = torch.randn(1, 3, *SHAPE).double(), torch.randn(1, 3)
    with pytest.raises(InputError, match="prototypes need integer labels"):
        ProtoMAML(model()).meta_gradient(TaskBatch(x, y, x, y))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv1d(1, 1, 1), r"no nn\.Linear inside"),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 3)), "no parameter outside the last layer '1'"),
    ],
)
def test_a_model_without_a_body_or_a_last_layer(network, message):
    with pytest.raises(InputError, match=message):
        ProtoMAML(network)


def test_features_that_are_not_flat():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(3, 5), nn.Flatten()).double()
    learner = ProtoMAML(network)
    with pytest.raises(
        InputError,
        match=r"called with \[6, 2, 3, 3\]; .* \[examples, 3\], once: flatten",
    ):
        learner.meta_gradient(make_tasks(2, shape=SHAPE))


def test_prototypes_are_of_what_the_head_is_called_with():
    torch.manual_seed(0)
    body, head = nn.Linear(4, 5), nn.Linear(5, 3)
    plain, odd = nn.Sequential(body, head), nn.Sequential(body, head, nn.LogSoftmax(1))
    tasks = make_tasks(2, dtype=torch.float32)
    for kind in (ProtoNet, ProtoMAML):
        found, expected = (kind(model).evaluate(tasks, 1).losses for model in (odd, plain))
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(*(kind(m).meta_gradient(tasks)[0] for m in (odd, plain)))
