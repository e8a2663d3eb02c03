"""Recorded outer steps: the same gradient, in memory that stays in place, on CPU tensors.

They are neither compiled nor recorded here but for one test, and both where there is a GPU.
"""

from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from fewstep import MAML, ImplicitMAML, ProtoMAML, Reptile, TaskBatch
from fewstep.errors import InputError, UnsuitableError
from fewstep.execution import captured
from fewstep.execution.plan import Planner
from fewstep.execution.recordings import MOST_KEPT, Recordings
from tests.exactness.cases import CASES
from tests.exactness.family import CASE, FAMILY, OUTER_STEP, family_learner
from tests.execution.recorded import Recorded
from tests.factory import make_tasks
from tests.plain import deviation

BY_NAME = {case.name: case for case in CASES}
REFUSED = {
    "dropout": "draws random numbers",
    "transformer-dropout": "draws random numbers",
    "lstm-dropout": "layer 'body' .*random",
}
LAYERS = {
    *("convolutional-block", "batch-norm-in-eval-mode", "group-norm", "embedding"),
    *("attention-fused", "gru", "tied", "frozen", "buffers"),
}
"""A sample for every day, one of each kind; a GPU computes all."""
SETTINGS = [
    *((name, {}) for name in FAMILY),
    *((name, {"memory": "flat"}) for name in ("maml++", "cavia", "from start")),
    *((name, {"order": "first"}) for name in ("maml++", "meta-sgd", "adam")),
]
SAMPLE = [
    *((name, {}) for name in ("all at once", "maml++, inductive", "cavia", "kept in place")),
    *((name, {}) for name in ("one row, anil", "one row, maml++")),
    *(("maml++", {"memory": "flat"}), ("from start", {"memory": "flat"})),
    ("meta-sgd", {"order": "first"}),
]
"""Each setting's values stand in one of them."""
on_every_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
)


def _id(value):
    if isinstance(value, dict):
        return "-".join(value.values())
    return getattr(value, "name", str(value))


def _recorded(learner, device="cpu", **settings):
    learner.model.to(device)
    return Recorded(learner.to(device), recorded=device == "cuda", **settings)


def _close(found, expected):
    assert deviation(found.gradient, expected.gradient) < 1e-10
    torch.testing.assert_close(found.query.losses, expected.query.losses, rtol=1e-10, atol=0)
    torch.testing.assert_close(found.query.metrics, expected.query.metrics)


def _on(device):
    return pytest.mark.cuda if device == "cuda" else ()


@pytest.mark.parametrize(
    ("name", "settings", "device"),
    [
        pytest.param(*of, device, marks=_on(device))
        for device, settings in (("cpu", SAMPLE), ("cuda", SETTINGS))
        for of in settings
    ],
    ids=_id,
)
def test_every_algorithm_gives_the_same(name, settings, device):
    learner = family_learner(name, execution="loop", **settings)
    tasks = CASE.tasks().to(device)
    found = _recorded(learner, device)(tasks, OUTER_STEP)
    expected = learner.differentiate(tasks, OUTER_STEP)
    _close(found, expected)
    torch.testing.assert_close(found.statistics, expected.statistics)


@pytest.mark.parametrize(
    ("case", "norm", "device"),
    [
        pytest.param(case, norm, device, marks=_on(device))
        for case in CASES
        for norm in case.norms
        for device in ("cpu", "cuda")
        if case.vectorised and (device == "cuda" or case.name in LAYERS)
    ],
    ids=_id,
)
def test_every_layer_gives_the_same(case, norm, device):
    learner = case.learner(2, norm=norm, execution="loop")
    tasks = case.tasks().to(device)
    found = _recorded(learner, device)(tasks)
    _close(found, learner.differentiate(tasks))


def test_compiled_once_for_all_processes():
    """The next learner, here as in another process, finds the code where PyTorch keeps it."""
    learner = BY_NAME["linear"].learner(2, execution="loop")
    tasks = BY_NAME["linear"].tasks()
    expected = learner.differentiate(tasks)
    _close(_recorded(learner, compiled=True)(tasks), expected)
    before = counters["inductor"].copy()
    _close(_recorded(learner, compiled=True)(tasks), expected)
    hits = (counters["inductor"] - before)["fxgraph_cache_hit"]
    assert hits == 4, "inner step, its derivative, query gradient, labels"
    assert (counters["inductor"] - before)["fxgraph_cache_miss"] == 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_says_why_in_a_line(name):
    case = BY_NAME[name]
    with pytest.raises(UnsuitableError, match=f"is not recorded: .*{REFUSED[name]}") as caught:
        _recorded(case.learner(1, execution="loop"))(case.tasks())
    assert "\n" not in str(caught.value)


class _Looking(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_a_model_that_looks_at_numbers_is_refused():
    case = BY_NAME["linear"]
    model = nn.Sequential(nn.Linear(4, 3), _Looking()).double()
    with pytest.raises(UnsuitableError, match="is not recorded: layer '1'"):
        _recorded(case.learner(1, model, execution="loop"))(case.tasks())


@on_every_device
def test_a_recording_serves_all_that_is_alike(device):
    """Other weights, other tasks and other importances need no other."""
    learner = family_learner("maml++", execution="loop")
    recorded = _recorded(learner, device, execution="captured")
    tasks = CASE.tasks().to(device)
    kept = recorded(tasks, 0)
    gradient = {name: value.clone() for name, value in kept.gradient.items()}
    others = TaskBatch(
        tasks.query_x[:, :4],
        tasks.query_y[:, :4],
        tasks.support_x.repeat(1, 2, 1, 1, 1)[:, :5],
        tasks.support_y.repeat(1, 2)[:, :5],
    )
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.mul_(1.1)
    for outer_step in (1, 2):
        _close(recorded(others, outer_step), learner.differentiate(others, outer_step))
    assert len(recorded.recordings) == 1
    torch.testing.assert_close(kept.gradient, gradient, rtol=0, atol=0)
    # From then on only the last loss counts.
    _close(recorded(others, 10), learner.differentiate(others, 10))
    assert len(recorded.recordings) == 2


@on_every_device
def test_recordings_of_a_few_shapes_are_kept(device):
    case = BY_NAME["linear"]
    learner = case.learner(1, execution="loop")
    recorded = _recorded(learner, device, execution="captured")
    for support in range(1, MOST_KEPT + 2):
        tasks = case.tasks(support=support).to(device)
        _close(recorded(tasks), learner.differentiate(tasks))
    assert len(recorded.recordings) == MOST_KEPT


def test_weights_that_stay_fixed_and_settings_are_no_constants():
    model = nn.Sequential(nn.Linear(4, 5), nn.ELU(), nn.Linear(5, 3)).double()
    model[0].requires_grad_(False)
    case = BY_NAME["linear"]
    learner = MAML(model, 0.1, 2, execution="loop")
    recorded = _recorded(learner, execution="captured")
    for _ in range(2):
        _close(recorded(case.tasks()), learner.differentiate(case.tasks()))
        with torch.no_grad():
            model[0].weight.add_(0.1)
    assert len(recorded.recordings) == 1
    model[1].alpha = 0.5
    _close(recorded(case.tasks()), learner.differentiate(case.tasks()))
    assert len(recorded.recordings) == 2


def test_metrics_of_the_user_are_computed_outside():
    def mistakes(prediction, target):
        return int((prediction.argmax(1) != target).sum())

    case = BY_NAME["tanh"]
    learner = case.learner(1, metrics={"mistakes": mistakes}, execution="loop")
    _close(_recorded(learner)(case.tasks()), learner.differentiate(case.tasks()))


@on_every_device
def test_the_setting_takes_the_recorded_executor(device):
    """Evaluation is vectorised, and a copy records its own."""
    learner = BY_NAME["linear"].learner(2, execution="captured").to(device)
    if device == "cpu":
        learner._planner.recordings = Recordings(compiled=False, recorded=False)
    tasks = BY_NAME["linear"].tasks().to(device)
    plain = BY_NAME["linear"].learner(2, execution="loop").to(device)
    plain.load_state_dict(learner.state_dict())
    _close(learner.differentiate(tasks), plain.differentiate(tasks))
    assert len(learner._planner.recordings) == 1
    torch.testing.assert_close(learner.evaluate(tasks).losses, plain.evaluate(tasks).losses)
    other = deepcopy(learner)
    assert len(other._planner.recordings) == 0
    _close(other.differentiate(tasks), plain.differentiate(tasks))
    assert len(learner._planner.recordings) == len(other._planner.recordings) == 1


def _checked(gradients, slots, step):
    """An inner optimiser's update that looks at its numbers."""
    assert all(value.isfinite().all() for value in gradients.values())
    return gradients, slots


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            partial(MAML, inner_optimizer=(lambda params: {}, _checked)),
            "the inner optimiser cannot",
        ),
        (Reptile, "outer steps of MAML alone"),
        (ImplicitMAML, "outer steps of MAML alone"),
        (ProtoMAML, "outer steps of MAML alone"),
    ],
    ids=["looks", "reptile", "imaml", "protomaml"],
)
def test_what_is_not_recorded_is_computed_without(make, reason, caplog):
    """With one warning."""
    learner = make(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)).double(), execution="captured")
    learner._planner.recordings = Recordings(compiled=False, recorded=False)
    tasks = make_tasks()
    found = learner.differentiate(tasks)
    learner.differentiate(tasks[:2])
    learner.differentiate(tasks)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("fewstep", "WARNING")
    assert reason in record.getMessage()
    assert "\n" not in record.getMessage()
    learner._planner = Planner("loop")
    expected = learner.differentiate(tasks)
    assert deviation(found.gradient, expected.gradient) < 1e-10


def test_other_devices_than_cuda_are_refused():
    """Where something is to be recorded; evaluation works on all."""
    case = BY_NAME["linear"]
    learner, tasks = case.learner(1, execution="captured"), case.tasks()
    with pytest.raises(InputError, match=r"captured, and the tasks are on cpu; .*execution auto$"):
        learner.differentiate(tasks)
    expected = case.learner(1, execution="loop")
    expected.load_state_dict(learner.state_dict())
    torch.testing.assert_close(learner.evaluate(tasks).losses, expected.evaluate(tasks).losses)


class _Cuda:
    """What a recording asks of CUDA, noted, with several devices and none of them real."""

    def __init__(self, monkeypatch, broken=False):
        self.device, self.mode, self.notes, self.broken = 0, 0, [], broken
        self.stream = self.first = SimpleNamespace(device=0, wait_stream=lambda _: None)
        for name in ("Stream", "device", "current_stream", "set_stream", "graph", "CUDAGraph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, f"_{name.lower()}"))
        monkeypatch.setattr(torch.cuda, "stream", self._on)
        monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: self.mode)
        monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", partial(setattr, self, "mode"))

    def _stream(self):
        return SimpleNamespace(device=self.device, wait_stream=lambda _: None)

    @contextmanager
    def _device(self, device):
        before, self.device = self.device, device.index
        try:
            yield
        finally:
            self.device = before

    def _current_stream(self):
        return self.stream

    def _set_stream(self, stream):
        self.stream = stream

    @contextmanager
    def _on(self, stream):
        before, self.stream = self.stream, stream
        yield
        self.stream = before

    @contextmanager
    def _graph(self, _, stream, capture_error_mode):
        self.notes.append(capture_error_mode)
        before, self.stream = self.stream, stream
        yield
        if self.broken:
            raise RuntimeError("operation failed due to a previous error during capture")
        self.stream = before

    def _cudagraph(self):
        return SimpleNamespace(replay=lambda: self.notes.append("replayed"))


class _Elsewhere:
    """As much of a tensor on a second GPU as a recording looks at."""

    device, dtype = torch.device("cuda", 1), torch.float32

    def detach(self):
        return self

    def to(self, *_, **__):
        return self

    def contiguous(self):
        return self


@pytest.mark.parametrize("broken", [False, True])
def test_it_is_recorded_on_the_device_of_the_tensors(broken, monkeypatch):
    """Which need not be the current one; in the end all is as it was, whatever happened."""
    cuda = _Cuda(monkeypatch, broken)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: _Elsewhere())
    monkeypatch.setattr(captured, "Packed", lambda outcome: outcome)

    def function(*_):
        cuda.notes.append((cuda.device, cuda.stream.device, cuda.mode))

    with pytest.raises(RuntimeError, match="capture") if broken else nullcontext():
        captured._Recording(function, [_Elsewhere()], 1, recorded=True)
    # Once to compile, once under watch, and once more to be recorded.
    assert cuda.notes == [(1, 1, 0), (1, 1, "error"), "thread_local", (1, 1, 0)]
    assert (cuda.device, cuda.stream, cuda.mode) == (0, cuda.first, 0)


def test_the_cause_is_told_and_not_the_end():
    error = RuntimeError("failed due to a previous error during capture")
    error.__context__ = RuntimeError("called a synchronizing CUDA operation")
    assert captured._reason(error).endswith("waits for the GPU, as a choice by a mask does")


@pytest.mark.cuda
def test_a_model_that_waits_for_the_gpu_is_computed_without(caplog):
    class Chosen(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3)
            self.register_buffer("mask", torch.tensor([True, False, True, False]))

        def forward(self, x):
            return self.layer(x[:, self.mask])

    learner = MAML(Chosen().double().cuda(), 0.1, 1, execution="captured")
    tasks = make_tasks().to("cuda")
    caplog.set_level("INFO", "fewstep")
    found = learner.differentiate(tasks)
    assert "waits for the GPU" in caplog.text
    expected = MAML(learner.model, 0.1, 1, execution="loop").differentiate(tasks)
    assert deviation(found.gradient, expected.gradient) < 1e-10
