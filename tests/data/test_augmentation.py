"""Augmentation changes each picture for itself, in the ways that it says, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance

from fewstep import InputError
from fewstep.config.recipes import RECIPES
from fewstep.data.augmentation import Augmentation
from fewstep.data.episodes import EpisodeSampler, episodes
from fewstep.data.images import ImageClasses

SHAPES = st.tuples(st.integers(1, 6), st.sampled_from([1, 3, 4]), st.integers(1, 7))
PICTURES = SHAPES.flatmap(lambda s: arrays(np.uint8, (s[0], s[1], s[2], s[2])))
SEEDS = st.integers(0, 2**32)
quick = settings(max_examples=50, deadline=None)


def _changed(pictures, seed, **ways):
    before = pictures.copy()
    changed = Augmentation(**ways)(pictures, np.random.default_rng(seed))
    assert changed.shape == pictures.shape
    assert changed.dtype == np.uint8
    assert (pictures == before).all()
    return changed


@quick
@given(pictures=PICTURES, seed=SEEDS)
def test_a_flipped_picture_is_itself_or_its_mirror_image(pictures, seed):
    for one, changed in zip(pictures, _changed(pictures, seed, flip=True), strict=True):
        assert (changed == one).all() or (changed == one[..., ::-1]).all()


def test_half_of_the_pictures_are_flipped():
    pictures = np.zeros((1000, 1, 1, 2), np.uint8)
    pictures[..., 1] = 1
    assert 450 < _changed(pictures, 0, flip=True)[:, 0, 0, 0].sum() < 550


@quick
@given(pictures=PICTURES, seed=SEEDS, crop=st.integers(1, 4))
def test_a_cropped_picture_is_a_shifted_one(pictures, seed, crop):
    side = pictures.shape[-1]
    for one, changed in zip(pictures, _changed(pictures, seed, crop=crop), strict=True):
        padded = np.pad(one, ((0, 0), (crop, crop), (crop, crop)))
        places = range(2 * crop + 1)
        cuts = (padded[:, i : i + side, j : j + side] for i in places for j in places)
        assert any((changed == cut).all() for cut in cuts)


def test_every_place_is_cut_out():
    pictures = np.zeros((2000, 1, 5, 5), np.uint8)
    pictures[..., 2, 2] = 1
    found = {tuple(np.argwhere(one[0])[0]) for one in _changed(pictures, 0, crop=2)}
    assert found == {(i, j) for i in range(5) for j in range(5)}


@quick
@given(pictures=PICTURES, seed=SEEDS, colour=st.floats(0.01, 1))
def test_black_stays_black_and_grey_stays_grey(pictures, seed, colour):
    assert not _changed(np.zeros_like(pictures), seed, colour=colour).any()
    if pictures.shape[1] == 3:
        grey = np.repeat(pictures[:, :1], 3, 1)
        changed = _changed(grey, seed, colour=colour).astype(int)
        assert (abs(changed - changed[:, :1]) <= 1).all()


def test_colours_are_changed_as_pillow_changes_them():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (20, 3, 9, 9), np.uint8)
    factors = np.random.default_rng(5).uniform(0.6, 1.4, (3, 20))
    found = _changed(pictures, 5, colour=0.4)
    for one, changed, *by in zip(pictures, found, *factors, strict=True):
        image = Image.fromarray(one.transpose(1, 2, 0))
        for kind, factor in zip(("Brightness", "Contrast", "Color"), by, strict=True):
            image = getattr(ImageEnhance, kind)(image).enhance(factor)
        expected = np.asarray(image).transpose(2, 0, 1).astype(int)
        # Pillow rounds down after each of the three.
        assert abs(changed.astype(int) - expected).max() <= 4


@pytest.mark.parametrize(
    ("ways", "told"),
    [({"crop": -1}, "crop is -1"), ({"colour": 1.5}, "colour is 1.5"), ({"colour": -1}, "colour")],
)
def test_what_cannot_be(ways, told):
    with pytest.raises(InputError, match=told):
        Augmentation(**ways)


def _images(classes=6, of_each=8):
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (classes * of_each, 3, 8, 8), np.uint8)
    return ImageClasses(pictures, tuple(map(str, range(classes))), np.full(classes, of_each))


@quick
@given(
    numbers=st.lists(st.integers(0, 50), min_size=1, max_size=4),
    seed=st.integers(0, 9),
    ways=st.builds(Augmentation, st.booleans(), st.integers(0, 3), st.floats(0, 1)),
)
def test_a_task_is_the_same_whatever_the_others_are(numbers, seed, ways):
    source = EpisodeSampler(_images(), 3, 1, 2, seed, augmentation=ways)
    for place, number in enumerate(numbers):
        pairs = source.batch(numbers).tensors, source.batch([number]).tensors
        assert all(torch.equal(one[place], alone[0]) for one, alone in zip(*pairs, strict=True))


def test_the_pictures_of_a_task_are_those_without_augmentation():
    """A picture that can only be flipped is found again, in the same place."""
    plain = EpisodeSampler(_images(), 4, 2, 3)
    source = replace(plain, augmentation=Augmentation(flip=True))
    changed = 0
    for part in ("support_x", "query_x"):
        found, expected = (getattr(s.batch(range(20)), part) for s in (source, plain))
        same = (found == expected).flatten(2).all(2)
        assert (same | (found == expected.flip(-1)).flatten(2).all(2)).all()
        # Each is drawn for itself, in support and query sets alike.
        assert 0.3 < same.float().mean() < 0.7
        changed += int((~same).sum())
    assert changed


def test_only_training_tasks_are_augmented():
    config = replace(RECIPES["glyphs-5way-1shot"].config, flip=True, crop=2, colour=0.3)
    sources = episodes(dict.fromkeys(("train", "val", "test"), _images()), config)
    assert sources["train"].augmentation == Augmentation(True, 2, 0.3)
    assert sources["val"].augmentation == sources["test"].augmentation == Augmentation()
    plain = RECIPES[config.recipe].config
    sources = episodes(dict.fromkeys(("train", "val", "test"), _images()), plain)
    assert sources["train"].augmentation == Augmentation()
