"""Which outer steps are recorded unasked, and what is done where one cannot be."""

import dataclasses
import logging

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep import MAML, ProtoMAML, TaskBatch, errors
from fewstep.execution import captured, kernels, recordings
from fewstep.execution.recordings import (
    MOST_KEPT,
    RECORD_AFTER,
    STAGES,
    WORTH_RECORDING,
    Recordings,
)
from fewstep.learners import gradient_based
from tests.execution.recorded import Recorded
from tests.factory import make_tasks
from tests.plain import deviation


@pytest.fixture(autouse=True)
def told(caplog, monkeypatch):
    """Two outer steps in a row are many."""
    monkeypatch.setattr(recordings, "RECORD_AFTER", 2)
    caplog.set_level(logging.INFO, "fewstep")
    return lambda: [record.getMessage() for record in caplog.records]


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def _learner(make=MAML, model=None, **settings):
    learner = make(model or _net(), **settings)
    learner._planner.recordings = Recordings(compiled=False, recorded=False)
    return learner


def _is_right(learner, tasks, outer_step=0):
    found = learner.differentiate(tasks, outer_step)
    settings = learner.inner_lr, learner.inner_steps
    plain = MAML(learner.model, *settings, loss=learner.loss, execution="loop")
    return deviation(found.gradient, plain.differentiate(tasks, outer_step).gradient) < 1e-10


def test_many_of_one_kind_in_a_row_are_recorded():
    """Who tries something out waits for no compiler; on a CPU nothing is ever recorded."""
    learner, tasks, other = _learner(inner_lr=0.1), make_tasks(), make_tasks(5)
    kept = learner._planner.recordings
    for batch, number in ((tasks, 0), (tasks, 0), (other, 0), (tasks, 0), (tasks, 0), (tasks, 1)):
        assert _is_right(learner, batch)
        assert len(kept) == number
    assert _is_right(learner, other)
    assert _is_right(learner, tasks)
    assert len(kept) == 1
    on_cpu = MAML(_net())
    for _ in range(4):
        on_cpu.differentiate(tasks)
    assert len(on_cpu._planner.recordings) == 0


@pytest.mark.parametrize(("steps", "number"), [(WORTH_RECORDING, 1), (WORTH_RECORDING - 1, 0)])
def test_a_training_is_recorded_from_its_first_step_or_never(steps, number):
    """So that it goes the same way when it is resumed; afterwards they are counted."""
    learner, tasks = _learner(), make_tasks()
    learner.expect(steps)
    for _ in range(4):
        learner.differentiate(tasks)
        assert len(learner._planner.recordings) == number
    learner.expect(None)
    learner.differentiate(tasks)
    assert len(learner._planner.recordings) == 1


def test_kinds_without_end_are_not_recorded(told):
    """The first kinds are those of a training's stages; of others one line tells."""
    learner = _learner(inner_steps=2)
    learner.expect(WORTH_RECORDING)
    for number in (2, 2, 3, 2, 4, 5, 6, 7, 8):
        assert _is_right(learner, make_tasks(number))
    assert len(learner._planner.recordings) == STAGES
    assert len([line for line in told() if "another kind or shape" in line]) == 1
    for number in (2, 3, 4, 5, 6, 7, 2) * 3:
        for _ in range(3):
            learner.differentiate(make_tasks(number))
    assert len(learner._planner.recordings) == MOST_KEPT
    assert _is_right(learner, make_tasks(2))


def test_tasks_of_different_sizes_are_not_recorded():
    tasks = make_tasks().task(0), [t[:4] for t in make_tasks().task(0)]
    learner = _learner()
    learner.expect(WORTH_RECORDING)
    learner.differentiate(TaskBatch.stack(tasks))
    assert len(learner._planner.recordings) == 0


def test_other_plans_and_learners_are_as_they_were(told):
    for execution in ("loop", "vectorised", "chunked"):
        learner = _learner(execution=execution)
        learner.expect(WORTH_RECORDING)
        learner.differentiate(make_tasks())
        assert len(learner._planner.recordings) == 0
    assert told() == []
    other = _learner(ProtoMAML)
    for _ in range(4):
        other.differentiate(make_tasks())
    assert told() == [
        "an outer step is not recorded: outer steps of MAML alone are recorded; computed without"
    ]


def test_without_a_compiler_it_is_recorded_all_the_same(monkeypatch, told):
    def fail(*_):
        raise AssertionError("no triton\nhere")

    monkeypatch.setattr(torch._inductor, "compile", fail)
    learner = _learner()
    learner._planner.recordings = Recordings(recorded=False)
    learner.expect(WORTH_RECORDING)
    assert _is_right(learner, make_tasks())
    assert len(learner._planner.recordings) == 1
    (line,) = [line for line in told() if "without a compiler" in line]
    assert "(AssertionError: no triton)" in line


def test_a_compiler_that_is_wrong_is_not_believed(monkeypatch, told):
    """Each function is compared with its operations once; one line names those that differ."""

    def compile_wrongly(graph, _inputs, _options):
        plain = fx.GraphModule(graph, fx.Graph())
        plain.graph.output(plain.graph.graph_copy(graph.graph, {}))
        plain.recompile()
        return lambda *given: [v * 1.5 if v.is_floating_point() else v for v in plain(*given)]

    monkeypatch.setattr(torch._inductor, "compile", compile_wrongly)
    learner = _learner()
    learner._planner.recordings = Recordings(recorded=False)
    learner.expect(WORTH_RECORDING)
    assert _is_right(learner, make_tasks())
    lines = [line for line in told() if "is wrong" in line]
    assert [line.split(" of ", 1)[1].split(" is ")[0] for line in lines] == [
        "an inner step",
        "the gradient of the query loss",
        "the derivative of an inner step",
    ]


def test_without_memory_it_is_vectorised(monkeypatch, told):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captured, "_Recording", fail)
    learner = _learner()
    learner.expect(WORTH_RECORDING)
    for _ in range(2):
        assert _is_right(learner, make_tasks())
    assert told() == [
        "an outer step is not recorded: there is not enough memory for it; computed without"
    ]


@dataclasses.dataclass
class Scale:
    by: list[float]


class _Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.scale = _net(), Scale([1.0])

    def forward(self, x):
        return self.net(x) * self.scale.by[0] * FACTOR


FACTOR = 1.0
WEIGHT = {"of": 1.0}


def _weighted(prediction, target):
    return F.cross_entropy(prediction, target) * WEIGHT["of"]


def test_what_code_reads_is_no_constant(monkeypatch):
    """In objects of the model's, in globals of its code, and in those of the loss."""
    learner, tasks = _learner(model=_Scaled(), loss=_weighted), make_tasks()
    learner.expect(WORTH_RECORDING)
    kept = learner._planner.recordings
    assert _is_right(learner, tasks)
    learner.model.scale.by[0] = 2.0
    assert _is_right(learner, tasks)
    monkeypatch.setitem(globals(), "FACTOR", 0.5)
    assert _is_right(learner, tasks)
    monkeypatch.setitem(WEIGHT, "of", 3.0)
    assert _is_right(learner, tasks)
    assert len(kept) == STAGES
    learner.differentiate(tasks)
    learner.differentiate(tasks)
    assert len(kept) == STAGES + 1
    assert _is_right(learner, tasks)


def test_a_resumed_training_records_where_the_whole_one_did():
    """Its stages are recorded from their first step, whichever it begins in."""
    kinds = ["first order"] * 60 + ["all losses"] * 150 + ["the last"] * 300

    def recorded(first):
        kept = Recordings(expected=WORTH_RECORDING)
        steps = []
        for kind in kinds[first:]:
            steps.append(kept.wants(kind))
            if steps[-1]:
                kept.of(kind, object)
        return steps

    for first in (40, 60, 100, 230):
        assert recorded(first) == recorded(0)[first:]


def test_other_metrics_are_not_those_of_a_recording():
    learner, tasks = _learner(execution="captured"), make_tasks()
    other = learner.with_metrics({"wrong": lambda p, y: (p.argmax(1) != y).double().mean()})
    for _ in range(2):
        assert list(learner.differentiate(tasks).query.metrics) == ["accuracy"]
        assert list(other.differentiate(tasks).query.metrics) == ["wrong"]
    assert len(learner._planner.recordings) == 2


def test_memory_is_free_after_a_training():
    learner, tasks = _learner(), make_tasks()
    learner.expect(WORTH_RECORDING)
    learner.differentiate(tasks)
    assert len(learner._planner.recordings) == 1
    learner.expect(None)
    assert len(learner._planner.recordings) == 0


def test_other_data_in_the_place_of_a_tensors_is_seen():
    """Of what is not learned; what is learned was given as it is."""
    model = nn.Sequential(_net(), nn.BatchNorm1d(3, momentum=None).double())
    model[0][0].weight.requires_grad_(False)
    model(make_tasks().support_x[0])
    learner, tasks = _learner(model=model.eval()), make_tasks()
    learner.expect(WORTH_RECORDING)
    assert _is_right(learner, tasks)
    model[0][0].weight.data = 2 * model[0][0].weight.data
    assert _is_right(learner, tasks)
    model[1].running_mean.data = model[1].running_mean + 1
    assert _is_right(learner, tasks)
    assert len(learner._planner.recordings) == 1


def test_code_that_reads_too_much_is_not_recorded(told):
    model = _Scaled()
    model.table = list(range(20_000))
    learner = _learner(model=model)
    learner.expect(WORTH_RECORDING)
    assert _is_right(learner, make_tasks())
    assert len(learner._planner.recordings) == 0
    assert "reads more than can be looked through each time" in told()[0]


def test_a_label_that_is_none_spoils_its_task_alone(monkeypatch):
    """Nobody looks at labels before a recorded outer step, which would be to wait for a GPU."""
    monkeypatch.setattr(gradient_based, "check_finite", lambda *_: None)
    learner, tasks = _learner(), make_tasks()
    learner.expect(WORTH_RECORDING)
    wrong = TaskBatch(*(part.clone() for part in tasks._parts))
    wrong.query_y[1, 0] = 3
    with pytest.raises(errors.InputError, match="labels run from 0 to 3"):
        learner.differentiate(wrong)
    good = learner.differentiate(tasks)
    found = learner.differentiate(wrong)
    assert found.query.losses.isnan().nonzero().tolist() == [[1]]
    torch.testing.assert_close(found.query.losses[0], good.query.losses[0])
    assert all(value.isnan().all() for value in found.gradient.values())
    assert _is_right(learner, tasks)
    ignored = TaskBatch(*tasks._parts)
    ignored.support_y[0, 0] = -100
    assert _is_right(learner, ignored)


class _NoWaiting(TorchDispatchMode):
    waiting = (
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.nonzero.default,
        torch.ops.aten.equal.default,
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in self.waiting
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", [{}, {"step_sizes": "per-step", "multi_step_loss": 10}])
def test_a_recorded_outer_step_does_not_wait(settings, monkeypatch):
    """It asks for no number of a tensor, which a GPU would have to compute first."""
    monkeypatch.setattr(gradient_based, "check_finite", lambda *_: None)
    learner, tasks = _learner(**settings), make_tasks()
    learner.expect(WORTH_RECORDING)
    for step in range(2):
        learner.differentiate(tasks, step)
    with _NoWaiting():
        learner.differentiate(make_tasks(seed=1), 2)


def test_compiling_is_told(monkeypatch, told):
    monkeypatch.setattr(kernels, "_from_cache_or_compiled", lambda graph, _: graph)
    learner = _learner()
    _ = Recorded(learner, compiled=True)(make_tasks())
    line = "compiling an inner step: up to a minute, once for this network and these shapes"
    assert line in told()
    assert RECORD_AFTER > recordings.RECORD_AFTER
