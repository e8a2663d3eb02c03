"""Figures that are read many outer steps at once are those that are read at each."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

import fewstep
from fewstep import InputError
from fewstep.execution.executor import MetaGradient
from fewstep.execution.recordings import Recordings
from fewstep.learners import gradient_based
from fewstep.learners.maml import MAML
from fewstep.metagrad.objective import QueryResult
from fewstep.training import figures, loop, streams
from fewstep.training.figures import Waiting, figures_every, step_figures
from fewstep.training.run_dir import RunDir
from tests.data.pictures import random_classes
from tests.training.shared import FIT, SINUSOID, lines, run, same, small_learner

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def late(monkeypatch):
    """Read together as on a GPU, seven outer steps at once."""
    monkeypatch.setattr(loop, "figures_every", lambda device, prompt: 1 if prompt else 7)


def step_of(number, losses=(1.0, 3.0), gradient=(3.0, 4.0)):
    losses = torch.tensor(losses)
    query = QueryResult(losses, {"mse": losses / 2})
    found = MetaGradient(query, {str(i): torch.tensor([g]) for i, g in enumerate(gradient)})
    return step_figures(number, range(10 * number, 10 * number + len(losses)), found)


def told(number):
    return number, {"train/loss": 2.0, "train/score": 1.0, "train/gradient_norm": 5.0}


def test_each_is_told_once_and_in_order():
    waiting = Waiting(3)
    found = [waiting.add(step_of(number)).told for number in range(1, 9)]
    # Those of three steps are told when the three behind them have begun.
    assert found == [[], [], [], [], [], [told(1), told(2), told(3)], [], []]
    assert waiting.rest().told == [told(number) for number in range(4, 9)]
    assert waiting.rest().told == []


def test_at_once_where_they_are_needed_or_cost_nothing():
    assert Waiting(1).add(step_of(1)).told == [told(1)]
    assert figures_every(CPU, False) == 1
    assert figures_every(GPU, True) == 1
    assert figures_every(GPU, False) == figures.FIGURES_EVERY


def test_slow_steps_are_told_soon(monkeypatch):
    clock = iter(range(0, 80, 4))
    monkeypatch.setattr(figures.time, "monotonic", lambda: next(clock) / 10)
    waiting = Waiting(50, 1.0)
    found = [waiting.add(step_of(number)).told for number in range(1, 9)]
    assert [len(rows) for rows in found] == [0, 0, 0, 0, 0, 3, 0, 0]


NOT_FINITE = [
    ({"losses": (1.0, math.inf, math.nan)}, "the loss is inf in task 51 of outer step 5"),
    ({"gradient": (1.0, math.nan)}, "the gradient is nan in tasks 50 to 51 of outer step 5"),
]


@pytest.mark.parametrize(("given", "what"), NOT_FINITE)
@pytest.mark.parametrize("every", [1, 2, 3, 4, 7])
def test_the_first_that_is_not_finite_is_named(given, what, every):
    waiting, found = Waiting(every), []
    for number in range(1, 9):
        # As in a training, nothing is finite behind it.
        here = {} if number < 5 else given if number == 5 else {"losses": (math.nan,) * 2}
        read = waiting.add(step_of(number, **here))
        found += read.told
        if read.bad:
            break
    else:
        read = waiting.rest()
        found += read.told
    assert str(read.bad) == what
    assert found == [told(number) for number in range(1, 5)]
    assert waiting.rest() == ([], None)


def test_a_run_is_the_same_bit_for_bit(tmp_path, monkeypatch):
    config = replace(
        SINUSOID, steps=17, val_every=10, val_tasks=2, checkpoint_every=9, ema_decay=0.9
    )
    run(config, tmp_path / "at once")
    monkeypatch.setattr(loop, "figures_every", lambda *_: 7)
    run(config, tmp_path / "late")
    assert same(tmp_path / "at once", tmp_path / "late")


@pytest.mark.usefixtures("late")
def test_nothing_is_kept_of_what_is_not_finite(tmp_path):
    wild = replace(SINUSOID, outer_lr=1e30, val_every=40, checkpoint_every=40)
    with pytest.raises(InputError, match=r"outer step 2; there is no checkpoint yet"):
        run(wild, tmp_path)
    files = RunDir(tmp_path)
    assert not files.best.exists()
    assert not files.last.exists()
    assert [line["step"] for line in lines(tmp_path)] == [1]


@pytest.mark.usefixtures("late")
def test_a_learner_gets_its_last_good_parameters_back():
    learner = small_learner()
    before = {name: p.detach().clone() for name, p in learner.named_parameters()}

    def adam(parameters):
        return torch.optim.SGD(parameters, lr=1e30)

    with pytest.raises(InputError, match="of outer step 2"):
        fewstep.fit(learner, FIT["train"], steps=20, optimizer=adam)
    assert all(torch.equal(p, before[name]) for name, p in learner.named_parameters())


@pytest.mark.usefixtures("late")
def test_an_error_comes_behind_the_figures_before_it(tmp_path):
    def train(step):
        if step == 5:
            raise InputError("no more")
        return FIT["train"].batch(range(3 * step, 3 * step + 3))

    with pytest.raises(InputError, match="no more"):
        fewstep.fit(small_learner(), train, steps=20, run_dir=tmp_path)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("alone", [True, False])
def test_schedulers_take_their_steps_in_time(alone):
    learner, seen = small_learner(), []
    optimizer = torch.optim.SGD(learner.parameters(), lr=1.0)
    halved = StepLR(optimizer, 1, 0.5)

    def note(step, figures):
        seen.append((step, optimizer.param_groups[0]["lr"]))

    rates = []
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    callbacks = [halved] if alone else [halved, note]
    fewstep.fit(learner, FIT["train"], steps=5, optimizer=optimizer, callbacks=callbacks)
    assert rates == [1.0, 0.5, 0.25, 0.125, 0.0625]
    if not alone:
        # Functions are called after each outer step, at the cost of waiting for it.
        assert seen == list(zip(range(1, 6), [0.5, 0.25, 0.125, 0.0625, 0.03125], strict=True))


WAITING = ["item", "tolist", "__float__", "__int__", "__bool__", "__index__", "nonzero", "numpy"]


def test_between_readings_nothing_waits_for_the_device(monkeypatch):
    """Every way from a tensor to the host in 21 outer steps, their gradients included."""
    source = fewstep.data.ImageSet(random_classes((9,) * 8)).tasks(5, 1, 2, rotations=True)
    monkeypatch.setattr(loop, "figures_every", lambda *_: 7)
    monkeypatch.setattr(streams, "made_on", lambda source, device: source.on_device(device))
    # As on a GPU, but for the recording itself; and on the CPU alone each gradient is looked at.
    monkeypatch.setattr(gradient_based, "check_finite", lambda *_: None)
    learner = MAML(nn.Sequential(nn.Flatten(), nn.Linear(36, 5)), 0.1, execution="captured")
    learner._planner.recordings = Recordings(compiled=False, recorded=False)
    asked, take = Counter(), loop.OuterLoop._take_step

    def counted(name):
        method = getattr(torch.Tensor, name)

        def call(self, *given):
            asked[name] += 1
            return method(self, *given)

        return call

    def after_the_first(self, *given):
        found = take(self, *given)
        if self.progress.step == 1:
            # What is made for the first time may wait.
            asked.clear()
        return found

    monkeypatch.setattr(loop.OuterLoop, "_take_step", after_the_first)
    for name in WAITING:
        monkeypatch.setattr(torch.Tensor, name, counted(name))

    def fused(parameters):
        return torch.optim.Adam(parameters, fused=True)

    settings = {"steps": 21, "checkpoint_every": 99, "meta_batch": 3, "ema_decay": 0.9}
    fewstep.fit(learner, source, optimizer=fused, **settings)
    # Twice while it trains, and once in the end.
    assert asked == {"tolist": 3}


def test_on_a_gpu_checkpoints_are_seconds_apart(tmp_path, monkeypatch):
    written = []
    keep = loop.OuterLoop._checkpoint
    monkeypatch.setattr(loop, "figures_every", lambda *_: 7)
    monkeypatch.setattr(
        loop.OuterLoop, "_checkpoint", lambda self: written.append(self.progress.step) or keep(self)
    )
    config = replace(SINUSOID, steps=15, val_every=15)
    run(config, tmp_path / "run")
    # The first, without which no run can be gone on with, and the last.
    assert written == [5, 15]
    written.clear()
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    run(config, tmp_path / "often")
    assert written == [5, 10, 15]
