"""When the inner gradient is compiled, how often, and what is told."""

from contextlib import contextmanager
from functools import partial

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError
from fewstep.execution import whole
from fewstep.runtime.modes import one_thread
from tests.factory import make_tasks
from tests.shares import differentiate

_tasks = partial(make_tasks, shots=1, queries=1, dtype=torch.float32)
_pictures = partial(make_tasks, shape=(1, 8, 8), dtype=torch.float32)


def _model(*middle):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), *middle, nn.Linear(5, 3))


def _blocks():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


@pytest.fixture(autouse=True)
def warnings_only(caplog):
    """The command line, in another test, lets more be told."""
    caplog.set_level("WARNING", "fewstep")


def _told(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "fewstep"]


def test_it_compiles_once_for_a_run(caplog):
    """Other numbers of tasks and of steps, evaluation and changed weights need no other code."""
    caplog.set_level("INFO", "fewstep")
    model = _model()
    learner = MAML(model, 0.1, 2, compile=True)
    plain = MAML(model, 0.1, 2, execution="loop")
    for number in (3, 2):
        for memory in ("fast", "flat"):
            learner.memory = plain.memory = memory
            _, found = learner.meta_gradient(_tasks(number))
            _, expected = plain.meta_gradient(_tasks(number))
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        model[0].weight.add_(0.1)
    found, expected = (each.evaluate(_tasks(5), 4) for each in (learner, plain))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    told = _told(caplog)
    assert told[0] == "compiling for support sets of [3, 4]: once, up to a minute"
    assert told[2] == "compiling for query sets of [3, 4]: once, up to a minute"
    assert all(text.startswith("compiled in ") for text in told[1::2])
    assert len(told) == 4
    learner.meta_gradient(_tasks(2, ways=2))
    assert _told(caplog)[4].startswith("compiling for support sets of [2, 4]")


def test_blocks_on_a_cpu_are_not_compiled(caplog):
    """Their own operations are as fast, and need no code for each shape."""
    caplog.set_level("INFO", "fewstep")
    learner = MAML(_blocks(), 0.1, 2, compile=True)
    _, found = learner.meta_gradient(_pictures(3))
    _, expected = MAML(_blocks(), 0.1, 2).meta_gradient(_pictures(3))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert len(learner._compiler.functions) == 0
    assert not _told(caplog)


def test_few_operations_are_compiled_whole(caplog):
    caplog.set_level("INFO", "fewstep")
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    learner = MAML(model, 0.1, 2, compile=True)
    for _ in range(2):
        found = learner.differentiate(_tasks(9))
        expected = MAML(model, 0.1, 2, execution="loop").differentiate(_tasks(9))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            model[0].weight.add_(0.1)
    learner.evaluate(_tasks(9), 3)
    told = _told(caplog)
    assert told[0] == "compiling for 9 tasks at once: once, up to a minute"
    assert len(told) == 2


def test_what_is_small_is_computed_by_one_thread(monkeypatch):
    threads, used = torch.get_num_threads(), []

    @contextmanager
    def noting():
        used.append(1)
        with one_thread():
            yield

    monkeypatch.setattr("fewstep.runtime.compile_cache.one_thread", noting)
    for least, expected in ((whole.WORTH_TWO_THREADS, 3), (0, 0)):
        monkeypatch.setattr("fewstep.execution.whole.WORTH_TWO_THREADS", least)
        used.clear()
        learner = MAML(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)), 0.1, 1, compile=True)
        for _ in range(2):
            learner.meta_gradient(_tasks(9))
        # Once more to compile it.
        assert len(used) == expected
        assert torch.get_num_threads() == threads


def test_a_part_that_is_replaced_counts_from_then_on():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    learner, plain = MAML(model, 0.1, 1, compile=True), MAML(model, 0.1, 1, execution="loop")
    for layer in (model[0], nn.Linear(4, 5)):
        model[0] = layer
        found, expected = (each.meta_gradient(_tasks(9)) for each in (learner, plain))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_weights_that_stay_fixed_are_not_compiled_in():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    model[0].requires_grad_(False)
    learner, plain = MAML(model, 0.1, 1, compile=True), MAML(model, 0.1, 1, execution="loop")
    for _ in range(2):
        found, expected = (each.meta_gradient(_tasks(9)) for each in (learner, plain))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            model[0].weight.add_(0.1)


@pytest.fixture
def no_compiler():
    with torch._inductor.config.patch(
        {"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}
    ):
        yield


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_it_warns_once_and_goes_on(caplog):
    # Of a shape that no other test compiles.
    model, tasks = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3)), _tasks(3)
    learner = MAML(model, 0.1, 2, compile=True)
    for _ in range(2):
        _, found = learner.meta_gradient(tasks)
    _, expected = MAML(model, 0.1, 2, execution="loop").meta_gradient(tasks)
    torch.testing.assert_close(found, expected)
    (told,) = _told(caplog)
    assert told.startswith("cannot be compiled (")
    assert told.endswith("); computed without")


class _LookingAtANumber(nn.Module):
    """Looks at a number, which no compiled function can."""

    def forward(self, x):
        return x / x.max().item()


@pytest.mark.parametrize(
    ("layer", "start"),
    [
        (_LookingAtANumber(), "cannot be compiled ("),
        (nn.Dropout(0.5), "random layers are not compiled"),
    ],
)
def test_what_does_not_compile_is_computed_without(caplog, layer, start):
    model = _model(layer)
    torch.manual_seed(1)
    _, found = MAML(model, 0.1, 2, compile=True).meta_gradient(_tasks(3))
    torch.manual_seed(1)
    _, expected = MAML(model, 0.1, 2, execution="loop").meta_gradient(_tasks(3))
    torch.testing.assert_close(found, expected)
    (told,) = _told(caplog)
    assert told.startswith(start)


@pytest.mark.parametrize("execution", ["vectorised", "chunked"])
def test_compiled_tasks_come_one_after_another(execution):
    with pytest.raises(InputError, match=r"compile=True, which .*use execution=\"loop\""):
        MAML(_model(), execution=execution, compile=True)


def test_compiled_in_several_processes():
    model = _model()
    learner = MAML(model, 0.1, 2, compile=True)
    for _ in range(2):
        found, _ = differentiate(learner, _tasks(3), 2)
        expected = MAML(model, 0.1, 2, execution="loop").differentiate(_tasks(3))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            model[0].weight.add_(0.1)
