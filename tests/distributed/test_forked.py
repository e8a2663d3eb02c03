"""Trainings and evaluations whose tasks are shared by forked processes."""

import os
import signal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import fewstep
from fewstep import InputError
from tests.learners.every import LEARNERS, tasks
from tests.training.shared import FIT

FEW = {"steps": 4, "val_every": 2, "val_tasks": 5}


def trained(workers, make=LEARNERS["maml"], train=None, validation=None, **given):
    learner = make()
    torch.manual_seed(0)
    train = tasks(5) if train is None else train
    validation = tasks(5) if validation is None else validation
    done = fewstep.fit(learner, train, validation, workers=workers, **{**FEW, **given})
    return {name: p.detach().clone() for name, p in learner.named_parameters()}, done


def _assert_alike(found, expected):
    torch.testing.assert_close(found[0], expected[0], rtol=1e-8, atol=1e-10)
    for one, other in zip(found[1].history, expected[1].history, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("kind", ["maml", "with dropout", "maml++", "finetune"])
def test_processes_train_as_one_does(kind):
    make, given = LEARNERS[kind], {"ema_decay": 0.9}
    _assert_alike(trained(2, make, **given), trained(1, make, **given))


@pytest.mark.parametrize(
    "train",
    [
        lambda step: tasks(2 + step),
        [tasks(1).task(0) for _ in range(9)],
        lambda step: _with_noise(tasks(3)),
    ],
    ids=["function", "single tasks", "random"],
)
def test_each_rank_takes_its_part_of_what_a_user_gives(train):
    _assert_alike(trained(3, train=train, meta_batch=3), trained(1, train=train, meta_batch=3))


def _with_noise(batch):
    batch.support_x.add_(torch.rand_like(batch.support_x))
    return batch


def test_another_number_goes_on_and_says_so(tmp_path, caplog):
    caplog.set_level("INFO", "fewstep")
    trained(2, run_dir=tmp_path, checkpoint_every=1, steps=2)
    found = trained(1, run_dir=tmp_path, checkpoint_every=1, steps=4)
    assert "not bit for bit as an undisturbed run: " in caplog.text
    assert "ranks 2, now 1" in caplog.text
    _assert_alike(found, trained(1))
    caplog.clear()
    again = trained(3, run_dir=tmp_path, checkpoint_every=1, steps=6)
    assert "ranks 1, now 3" in caplog.text
    _assert_alike(again, trained(1, steps=6))


def _bad_at_last(step):
    batch = tasks(5)
    if step == 3:
        batch.query_x[4] = torch.nan
    return batch


@pytest.mark.parametrize("run", [True, False])
def test_a_loss_that_is_not_finite_in_another_rank(run, tmp_path):
    told = []
    for workers in (1, 2):
        path = tmp_path / str(workers) if run else None
        with pytest.raises(InputError, match="in task 4 of outer step 4; ") as caught:
            trained(workers, train=_bad_at_last, run_dir=path, checkpoint_every=2)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert ("checkpoint of outer step 2 is kept" in told[0]) == run


def test_all_stop_and_keep_the_same_step(tmp_path):
    def stop(step, figures):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    # The next outer step tells all of it.
    with pytest.raises(KeyboardInterrupt, match="stopped after outer step 3"):
        trained(2, run_dir=tmp_path, callbacks=stop)
    _assert_alike(trained(2, run_dir=tmp_path), trained(1))


def test_a_signal_in_the_last_outer_step_is_heeded():
    def stop(step, figures):
        if step == 4 and "train/loss" in figures:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="stopped after outer step 4"):
        trained(2, callbacks=stop)


def test_what_has_no_pickle_is_shared_all_the_same():
    def make():
        torch.manual_seed(0)
        model = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 3))).double()
        return fewstep.MAML(model, 0.1, loss=lambda p, y: F.cross_entropy(p, y))

    _assert_alike(trained(2, make), trained(1, make))


HERE = os.getpid()


def _fails_elsewhere(prediction, target):
    if os.getpid() != HERE:
        raise KeyError("nothing of that name")
    return F.cross_entropy(prediction, target)


def test_an_error_of_the_user_s_code_in_another_rank(tmp_path):
    network = nn.Linear(4, 3).double()
    with pytest.raises(KeyError, match="nothing of that name"):
        trained(2, lambda: fewstep.MAML(network, 0.1, loss=_fails_elsewhere), run_dir=tmp_path)
    trained(2, lambda: fewstep.MAML(network, 0.1))


def test_callbacks_are_of_the_first_and_schedulers_of_all():
    def make():
        return LEARNERS["maml"]()

    told, found = [], []
    for workers in (1, 2):
        learner = make()
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        callbacks = [scheduler, lambda step, _: told.append((os.getpid(), step))]
        done = fewstep.fit(
            learner, tasks(4), optimizer=optimizer, callbacks=callbacks, workers=workers, **FEW
        )
        found.append(({n: p.detach() for n, p in learner.named_parameters()}, done))
    _assert_alike(*found)
    assert told == [(os.getpid(), step) for step in (1, 2, 3, 4)] * 2


@pytest.mark.parametrize("form", ["batch", "source", "iterable"])
def test_an_evaluation_is_shared_out(form):
    given = {"batch": tasks(7), "source": FIT["validation"], "iterable": [tasks(3), tasks(2)]}
    torch.manual_seed(0)
    learner = LEARNERS["with dropout"]()
    if form == "source":
        learner = fewstep.MAML(nn.Linear(1, 1), 0.1, 1, loss="mse")
    found, expected = (
        fewstep.evaluate(learner, given[form], 2, n=45 if form == "source" else None, workers=n)
        for n in (3, 1)
    )
    assert found.score.mean == pytest.approx(expected.score.mean, rel=1e-6)
    assert found.loss.ci95 == pytest.approx(expected.loss.ci95, rel=1e-5)
    assert found.tasks == expected.tasks
