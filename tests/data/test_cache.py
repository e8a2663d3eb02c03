"""A cached file that does not hold what was put there is made again."""

import io
import logging
import zipfile

import numpy as np
import pytest

from fewstep import InputError
from fewstep.data import cache
from fewstep.data.cache import cached
from fewstep.data.images import ImageClasses

RIGHT = {
    "pictures": np.zeros((5, 1, 28, 28), np.uint8),
    "names": np.array(["a", "b"]),
    "counts": np.array([2, 3]),
}


def made():
    return ImageClasses(RIGHT["pictures"], ("a", "b"), RIGHT["counts"])


def npz(**changes):
    file = io.BytesIO()
    np.savez(file, **{name: v for name, v in (RIGHT | changes).items() if v is not None})
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def bomb():
    """An array of 3 GB by its header, and of 4 MB by its zip entry."""
    header = npy(np.zeros((0, 1, 28, 28), np.uint8)).replace(b"(0, 1,", b"(4000000, 1,")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("pictures.npy", header + bytes(2**22))
    return file.getvalue()


DAMAGED = {
    "5x5 pictures": npz(pictures=np.zeros((5, 1, 5, 5), np.uint8)),
    "three channels": npz(pictures=np.zeros((5, 3, 28, 28), np.uint8)),
    "floats": npz(pictures=np.zeros((5, 1, 28, 28))),
    "negative counts": npz(counts=np.array([7, -2])),
    "counts with a fraction": npz(counts=np.array([2.5, 2.5])),
    "counts as text": npz(counts=np.array(["2", "3"])),
    "counts of two dimensions": npz(counts=np.array([[2, 3], [0, 0]])),
    "a name too few": npz(names=np.array(["a"])),
    "other classes": npz(names=np.array(["a", "b", "c"]), counts=np.array([2, 2, 1])),
    "a name twice": npz(names=np.array(["a", "a"])),
    "objects": npz(names=np.array([{}, {}], dtype=object)),
    "nothing": b"",
    "an array missing": npz(counts=None),
    "another kind of file": npy(RIGHT["pictures"]),
    "text": b"no archive",
    "half": npz()[:2000],
    "a bomb": bomb(),
    "an array too large": npz(more=np.zeros(2**22, np.uint8)),
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "LARGEST", 2**21)
    cached("name", 28, 2, made)
    return tmp_path / "name.npz"


def test_what_is_right_is_not_made_again(path, caplog):
    assert cached("name", 28, 2, lambda: pytest.fail("made again")).names == ("a", "b")
    assert not caplog.records


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_made_again_and_told(content, path, caplog):
    caplog.set_level(logging.INFO, "fewstep")
    path.write_bytes(content)
    images = cached("name", 28, 2, made)
    assert images.pictures.shape == (5, 1, 28, 28)
    (record,) = caplog.records
    assert f"{path} is damaged (" in record.getMessage()
    assert record.getMessage().endswith(") and is made again")
    assert "\n" not in record.getMessage()
    assert cached("name", 28, 2, lambda: pytest.fail("made again")).names == ("a", "b")


def test_a_folder_in_the_place_of_the_cache(path):
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"cannot write .*name\.npz \(it is a folder\).*FEWSTEP_C"):
        cached("name", 28, 2, made)
