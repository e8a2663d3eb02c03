"""The rendered letters: enough of them, no script in two splits, always the same."""

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from fewstep.data import cache
from fewstep.data.glyphs import DRAWINGS, load_glyphs


@pytest.fixture(scope="module")
def glyphs():
    return load_glyphs()


def scripts(images):
    return {name.split("/")[0] for name in images.names}


def test_splits_share_no_script_and_are_large_enough(glyphs):
    for one, other in combinations(glyphs.values(), 2):
        assert not scripts(one) & scripts(other)
    assert sum(map(len, glyphs.values())) > 1200
    assert sum(len(scripts(images)) for images in glyphs.values()) >= 12
    assert min(len(images) for images in glyphs.values()) > 100


def test_pictures_are_ink_on_empty_ground_inside_the_frame(glyphs):
    for images in glyphs.values():
        assert images.pictures.shape[1:] == (1, 28, 28)
        assert (images.counts == DRAWINGS).all()
        ink = images.pictures.mean((1, 2, 3))
        assert ink.min() > 0.5
        assert ink.max() < 150
        edges = np.concatenate([images.pictures[..., 0, :], images.pictures[..., -1, :]], -1)
        assert (edges.max(-1) > 128).mean() < 0.02


def test_no_two_drawings_of_a_letter_are_the_same(glyphs):
    letters = glyphs["test"].pictures.reshape(-1, DRAWINGS, 28 * 28)
    for drawings in letters[::10]:
        assert len(np.unique(drawings, axis=0)) == DRAWINGS


def test_a_damaged_cache_is_made_anew_and_comes_out_the_same(glyphs, monkeypatch, tmp_path):
    (file,) = Path(os.environ["FEWSTEP_CACHE"]).glob("glyphs-*.npz")
    # Others read that one.
    (tmp_path / file.name).write_bytes(file.read_bytes()[:1000])
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path))
    again = load_glyphs()
    for split, images in glyphs.items():
        assert np.array_equal(images.pictures, again[split].pictures)
        assert images.names == again[split].names


def test_the_second_call_reads_the_cache(glyphs, monkeypatch):
    monkeypatch.setattr("fewstep.data.glyphs._draw_all", lambda: pytest.fail("drawn again"))
    assert load_glyphs()["val"].names == glyphs["val"].names


def test_the_cache_folder_is_the_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "here"))
    assert cache.cache_dir() == tmp_path / "here"
