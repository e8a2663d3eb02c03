"""On a GPU: nothing waits between readings of figures, and a run goes on bit for bit."""

import pytest
import torch

import fewstep
from fewstep import InputError
from fewstep.data import ImageSet
from fewstep.models.conv4 import conv4
from fewstep.training import checkpoint, figures, loop
from fewstep.training.run_dir import RunDir
from tests.data.pictures import random_classes

pytestmark = pytest.mark.cuda
CUDA = torch.device("cuda", 0)


def tasks(**given):
    images = ImageSet(random_classes((20,) * 40, (28, 28)))
    return images.tasks(5, 1, 5, rotations=True, **given)


def learner(execution="auto"):
    torch.manual_seed(0)
    model = conv4(1, 28, 5, 16, "max-pool").to(CUDA)
    return fewstep.MAML(model, 0.1, 2, execution=execution)


def test_tasks_are_those_of_the_host_bit_for_bit():
    of = tasks()
    here, there = of.batch(range(9)), of.on_device(CUDA).batch(range(9))
    for one, other in zip(
        [*here.tensors, here.classes], [*there.tensors, there.classes], strict=True
    ):
        assert other.device == CUDA
        assert torch.equal(one, other.cpu())


def test_nothing_waits_between_readings(monkeypatch):
    """After the first ten steps, in which much is made for the first time."""
    take = loop.OuterLoop._take_step

    def without_waiting(self, *given):
        watched = self.progress.step >= 10
        torch.cuda.set_sync_debug_mode("error" if watched else "default")
        try:
            return take(self, *given)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    source = tasks()
    monkeypatch.setattr(loop.OuterLoop, "_take_step", without_waiting)
    monkeypatch.setattr(figures, "FIGURES_EVERY", 7)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0)
    done = fewstep.fit(
        learner("captured"), source, steps=40, meta_batch=4, ema_decay=0.9, checkpoint_every=20
    )
    assert [line["step"] for line in done.history] == list(range(1, 41))


def ends(folder):
    return [checkpoint.load(path)[0] for path in (RunDir(folder).last, RunDir(folder).best)]


@pytest.mark.parametrize("execution", ["captured", "vectorised"])
def test_a_run_goes_on_bit_for_bit(tmp_path, execution):
    given = {"meta_batch": 8, "ema_decay": 0.9, "val_every": 20, "val_tasks": 30}
    source = tasks()
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    fewstep.fit(learner(execution), source, source, steps=60, run_dir=whole, **given)
    for steps in (20, 60):
        fewstep.fit(learner(execution), source, source, steps=steps, run_dir=parted, **given)
    for one, other in zip(ends(whole), ends(parted), strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert RunDir(whole).metrics.read_text() == RunDir(parted).metrics.read_text()


def test_what_is_not_finite_is_named_and_not_kept(tmp_path):
    wild = learner()
    before = {name: p.detach().clone() for name, p in wild.named_parameters()}

    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=1e30)

    with pytest.raises(InputError, match=r"of outer step \d; there is no checkpoint yet"):
        fewstep.fit(wild, tasks(), steps=200, optimizer=sgd, run_dir=tmp_path, checkpoint_every=90)
    assert not RunDir(tmp_path).last.exists()
    assert all(torch.equal(p, before[name]) for name, p in wild.named_parameters())


def test_a_run_of_the_cpu_goes_on_on_a_gpu(tmp_path, caplog):
    source = tasks()
    on_cpu = learner().to("cpu")
    fewstep.fit(on_cpu, source, steps=3, meta_batch=2, run_dir=tmp_path)
    done = fewstep.fit(learner(), source, steps=6, meta_batch=2, run_dir=tmp_path)
    assert done.steps == 6
