"""Examples that come with their labels."""

import numpy as np
import pytest
import torch

from fewstep import InputError
from fewstep.data.images import ImageClasses
from fewstep.predictors.labelled import labelled
from tests.predictors.shared import pictures


def test_a_folder_a_class(tmp_path):
    for name, files in {"owl": ["2.png", "1.png"], "crow": ["1.png"]}.items():
        (tmp_path / name).mkdir()
        for file in files:
            pictures()[0].save(tmp_path / name / file)
    (tmp_path / "owl" / ".hidden").touch()
    (tmp_path / ".cache").mkdir()
    for folder in (tmp_path, str(tmp_path)):
        x, y = labelled(folder)
        assert [path.relative_to(tmp_path).as_posix() for path in x] == [
            "crow/1.png",
            "owl/1.png",
            "owl/2.png",
        ]
        assert y == ["crow", "owl", "owl"]


def test_files_that_are_left_out_are_named(tmp_path):
    for name in ("owl", "crow"):
        (tmp_path / name).mkdir()
        pictures()[0].save(tmp_path / name / "1.png")
    (tmp_path / "owl" / "2.png").touch()
    with pytest.warns(UserWarning, match=r"left out: .*/owl/2.png: empty"):
        x, y = labelled(tmp_path)
    assert (len(x), y) == (2, ["crow", "owl"])


def test_a_set_of_pictures():
    pixels = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    images = ImageClasses(pixels, ("owl", "crow"), np.array([2, 3]))

    class Set:
        def __init__(self):
            self.images = images

    for given in (images, Set()):
        x, y = labelled(given)
        assert np.array_equal(x, pixels)
        assert y == ["owl", "owl", "crow", "crow", "crow"]


def test_lists_by_label():
    red, green, blue, *_ = pictures()
    assert labelled({"b": [red, green], "a": blue}) == ([red, green, blue], ["b", "b", "a"])
    x, y = labelled({0: np.zeros((2, 3)), 1: [[1, 1, 1]]})
    assert x.tolist() == [[0] * 3] * 2 + [[1] * 3]
    assert y == [0, 0, 1]
    assert torch.equal(labelled({0: torch.zeros(1, 2), 1: torch.zeros(1, 2)})[0], torch.zeros(2, 2))


def test_what_has_no_labels(tmp_path):
    file, empty, hollow = tmp_path / "file", tmp_path / "empty", tmp_path / "hollow"
    file.touch()
    empty.mkdir()
    (hollow / "owl").mkdir(parents=True)
    for given, told in {
        file: "file is a file; expected a folder of pictures",
        tmp_path / "no": "cannot open .*no",
        empty: "empty holds no pictures",
        hollow: r"hollow holds no pictures \(owl: a folder without pictures\)",
    }.items():
        with pytest.raises(InputError, match=told):
            labelled(given)
    with pytest.raises(InputError, match="the support set has no class"):
        labelled({})
    with pytest.raises(InputError, match=r"y is None and x is a ndarray; give one label"):
        labelled(np.zeros((2, 2)))
