"""Tasks made on a device are those made on the host, bit for bit."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewstep.config.recipes import RECIPES
from fewstep.data import resident
from fewstep.data.augmentation import Augmentation
from fewstep.data.episodes import EpisodeSampler
from fewstep.data.images import ImageClasses
from fewstep.data.registry import task_sources
from fewstep.data.sinusoid import SinusoidSampler
from fewstep.data.source import made_on
from tests.data.pictures import random_classes

CPU = torch.device("cpu")


def assert_same(one, other, numbers=(5, 0, 11)):
    here, there = one.batch(numbers), other.batch(numbers)
    for a, b in zip([*here.tensors, here.classes], [*there.tensors, there.classes], strict=True):
        assert a.dtype == b.dtype
        assert a.is_contiguous()
        assert torch.equal(a, b)


@pytest.mark.parametrize("rotations", [False, True])
@pytest.mark.parametrize("split", ["train", "val"])
def test_pictures_labels_and_classes_are_the_same(rotations, split):
    of = EpisodeSampler(random_classes(channels=3), 5, 1, 3, 2, split, rotations)
    assert_same(of.on_device(CPU), of)


@pytest.mark.parametrize(("flip", "crop"), [(True, 0), (False, 2), (True, 5)])
def test_pictures_that_move_are_the_same(flip, crop):
    images = random_classes(channels=3, side=(6, 4))
    of = EpisodeSampler(images, 5, 1, 3, augmentation=Augmentation(flip, crop))
    still = EpisodeSampler(images, 5, 1, 3)
    assert not torch.equal(of.batch([0]).query_x, still.batch([0]).query_x)
    assert_same(of.on_device(CPU), of)
    (ahead,) = of.on_device(CPU).in_order([range(4, 7)])
    assert torch.equal(ahead.support_x, of.batch(range(4, 7)).support_x)


@pytest.mark.parametrize("batches", [0, 1, resident.BLOCK, 2 * resident.BLOCK + 3])
def test_in_order_they_are_the_same(batches):
    of = EpisodeSampler(random_classes(), 5, 1, 3, rotations=True)
    # The last meta-batch of a rank may be smaller.
    numbers = [range(3 * n, 3 * n + 1 + n % 3) for n in range(batches)]
    made = list(of.on_device(CPU).in_order(numbers))
    assert len(made) == batches
    for batch, of_batch in zip(made, numbers, strict=True):
        assert torch.equal(batch.query_x, of.batch(of_batch).query_x)
        assert torch.equal(batch.classes, of.batch(of_batch).classes)


def test_so_many_are_asked_for_at_once_as_fit(monkeypatch):
    here = EpisodeSampler(random_classes(), 5, 1, 1).on_device(CPU)
    for tasks, at_once in ((1000, 100), (50, 50), (3, 20)):
        monkeypatch.setattr(resident, "LARGEST", tasks * here.batch([0]).query_x.nbytes * 2)
        assert here.at_once == at_once


def test_every_grey_is_divided_alike():
    pictures = np.arange(256, dtype=np.uint8).reshape(2, 1, 8, 16).repeat(2, 0)
    of = EpisodeSampler(ImageClasses(pictures, ("a", "b"), np.array([2, 2])), 2, 1, 1)
    assert_same(of.on_device(CPU), of)


def test_a_part_of_a_file_alone_is_put_there(tmp_path):
    images = random_classes()
    kept = np.memmap(tmp_path / "pictures", np.uint8, "w+", shape=images.pictures.shape)
    kept[:] = images.pictures
    part = replace(images, pictures=kept).subset([4, 0, 2])
    of = EpisodeSampler(part, 3, 1, 2, rotations=True)
    assert_same(of.on_device(CPU), of)
    assert len(resident._there[part][4, CPU]) == 4 * (5 + 9 + 7)


def test_a_recipe():
    of = task_sources(RECIPES["glyphs-5way-1shot"].config)["train"]
    assert_same(of.on_device(CPU), of, range(40, 48))


def test_pictures_lie_there_once_and_no_longer_than_their_set():
    images = random_classes()
    one = EpisodeSampler(images, 5, 1, 3)
    here, there = one.on_device(CPU), one.with_shots(2, 2).on_device(CPU)
    assert here._pictures is there._pictures
    assert_same(there, one.with_shots(2, 2))
    before = len(resident._there)
    del one, here, there, images
    gc.collect()
    assert len(resident._there) < before


def test_what_is_made_on_the_host(monkeypatch):
    images = random_classes()
    of = EpisodeSampler(images, 5, 1, 3)
    assert replace(of, augmentation=Augmentation(colour=0.1)).on_device(CPU) is None
    assert SinusoidSampler(5, 5).on_device(CPU) is None
    oblong = EpisodeSampler(random_classes(side=(4, 6)), 5, 1, 3, rotations=True)
    assert oblong.on_device(CPU) is None
    size = images.pictures.nbytes
    monkeypatch.setattr(resident, "_free", lambda device: 4 * size - 1)
    assert of.on_device(CPU) is None
    monkeypatch.setattr(resident, "_free", lambda device: 4 * size)
    assert of.on_device(CPU) is not None


def test_on_the_cpu_tasks_are_made_as_ever():
    of = EpisodeSampler(random_classes(), 5, 1, 3)
    assert made_on(of, CPU) is of
    tasks = [of.batch([0])]
    assert made_on(tasks, torch.device("cuda")) is tasks
