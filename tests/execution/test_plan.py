"""How many tasks are computed at once, and that it changes nothing."""

import gc
import weakref

import pytest
import torch
from torch import nn

from fewstep import MAML, TaskBatch
from fewstep.execution import plan as plans
from fewstep.execution.vmapped import Vmapped
from fewstep.models.conv4 import conv4
from fewstep.models.mlp import mlp
from fewstep.runtime.modes import one_thread
from tests.factory import make_tasks


def _model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    )


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model():
    model = _model()
    model(torch.randn(2, 1, 8, 8))
    return model.double()


@pytest.mark.parametrize("number", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_chunks_of_any_number_of_tasks_give_the_same(model, monkeypatch, number, memory):
    tasks = make_tasks(number, 1, 1, (1, 8, 8))
    loss, expected = MAML(model, 0.1, 3, execution="loop").meta_gradient(tasks)
    learner = MAML(model, 0.1, 3, execution="chunked", memory=memory)
    objective, _ = learner.objective(tasks, "transductive", training=True)
    monkeypatch.setattr(plans, "CPU_BUDGET", 3 * plans.graph_bytes(objective, tasks))
    sizes = []
    monkeypatch.setattr("fewstep.execution.vmapped.stacked", _noting(sizes))
    found_loss, found = learner.meta_gradient(tasks)
    assert sizes == {1: [1], 2: [2], 4: [4], 5: [2, 3], 7: [3, 4]}[number]
    torch.testing.assert_close(found_loss, loss, rtol=1e-10, atol=0)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-10, atol=1e-13)
    evaluation = learner.evaluate(tasks, 2)
    reference = MAML(model, 0.1, 3, execution="loop").evaluate(tasks, 2)
    torch.testing.assert_close(evaluation.losses, reference.losses, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(evaluation.scores, reference.scores)


def _noting(sizes):
    from fewstep.execution.vmapped import stacked

    def stack(objective, tasks, start):
        sizes.append(len(tasks))
        return stacked(objective, tasks, start)

    return stack


def _at_once(model, tasks, **settings):
    learner = MAML(model, 0.1, 1, **settings)
    objective, _ = learner.objective(tasks, "transductive", training=True)
    executor = plans.Planner(learner.execution).executor(objective, tasks)
    return executor.chunk if isinstance(executor, Vmapped) else 0


def _regression(number):
    x = torch.randn(number, 10, 1)
    return TaskBatch(x, x, x, x)


def test_small_tasks_are_computed_at_once():
    loss = nn.functional.mse_loss
    assert _at_once(mlp(1, (40, 40), 1), _regression(25), loss=loss) == 25


def test_few_tasks_are_computed_one_after_another():
    for number in (1, 2, 3):
        loss = nn.functional.mse_loss
        assert _at_once(mlp(1, (40, 40), 1), _regression(number), loss=loss) == 0


def test_one_thread_needs_more_tasks(model):
    assert _at_once(model, make_tasks(5, 1, 1, (1, 8, 8))) == 5
    with one_thread():
        assert _at_once(model, make_tasks(5, 1, 1, (1, 8, 8))) == 0
        assert _at_once(model, make_tasks(8, 1, 1, (1, 8, 8))) == 8


def test_it_decides_once_for_tasks_of_a_shape(model, monkeypatch):
    learner, asked = MAML(model, 0.1), []
    measured = plans.graph_bytes
    monkeypatch.setattr(plans, "graph_bytes", lambda *a: asked.append(a) or measured(*a))
    for number in (5, 7, 2):
        learner.meta_gradient(make_tasks(number, 1, 1, (1, 8, 8)))
    assert len(asked) == 1


def test_large_tasks_are_computed_one_after_another():
    tasks = make_tasks(8, 1, 1, (1, 84, 84), ways=20)
    assert _at_once(conv4(1, 84, 20, 64, "max-pool").double(), tasks) == 0


def test_what_a_task_keeps_does_not_depend_on_their_number():
    learner = MAML(mlp(1, (40, 40), 1), 0.1, loss=nn.functional.mse_loss)
    objective, _ = learner.objective(_regression(1), "transductive", training=True)
    assert plans.graph_bytes(objective, _regression(200)) == plans.graph_bytes(
        objective, _regression(1)
    )


class _Scaled(nn.Module):
    """Looks at a number, which vmap cannot."""

    def forward(self, x):
        return x / x.max().item()


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), _Scaled()])
def test_what_cannot_be_vectorised_is_looped_over(model, layer):
    changed = nn.Sequential(*model[:3], layer, *model[3:])
    assert _at_once(model, make_tasks(5, 1, 1, (1, 8, 8))) == 5
    assert _at_once(changed, make_tasks(5, 1, 1, (1, 8, 8))) == 0
    MAML(changed, 0.1).meta_gradient(make_tasks(5, 1, 1, (1, 8, 8)))


def test_deciding_draws_no_random_numbers(model):
    changed = nn.Sequential(*model[:3], nn.Dropout(0.5), *model[3:])
    before = torch.get_rng_state()
    _at_once(changed, make_tasks(5, 1, 1, (1, 8, 8)))
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_without_dropout_is_planned_apart(model):
    learner = MAML(nn.Sequential(*model[:3], nn.Dropout(0.5), *model[3:]), 0.1)
    tasks, planned = make_tasks(8, 1, 1, (1, 8, 8)), learner._planner._most
    learner.meta_gradient(tasks)
    assert len(planned) == 1
    learner.evaluate(tasks, 1)
    assert len(planned) == 2
    learner.meta_gradient(tasks)
    assert len(planned) == 2


def test_measuring_a_graph_does_not_keep_it():
    references = []

    class Tanh(nn.Module):
        def forward(self, x):
            y = x.tanh()
            references.append(weakref.ref(y))
            return y

    learner, tasks = MAML(mlp(4, (6,), 3).append(Tanh())), make_tasks(1, dtype=torch.float32)
    objective, _ = learner.objective(tasks, "transductive", training=True)
    references.clear()
    assert plans.graph_bytes(objective, tasks) > 0
    gc.collect()
    assert [reference() for reference in references] == [None, None]
