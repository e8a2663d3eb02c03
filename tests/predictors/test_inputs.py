"""Examples of any kind become one tensor."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fewstep import InputError
from fewstep.data.preparation import Preparation
from fewstep.predictors.inputs import ExampleForm
from tests.predictors.shared import COLOUR, pictures

FORM = ExampleForm(COLOUR)


def as_file(picture):
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def test_pictures_of_any_kind_are_the_same_examples(tmp_path):
    given = pictures()
    expected = torch.from_numpy(np.stack([COLOUR(p) for p in given])).float() / 255
    paths = []
    for number, picture in enumerate(given):
        paths.append(tmp_path / f"{number}.png")
        picture.save(paths[-1])
    arrays = [np.asarray(picture) for picture in given]
    kinds = {
        "Pillow": given,
        "paths": paths,
        "strings": [str(path) for path in paths],
        "bytes": [as_file(picture) for picture in given],
        "arrays": arrays,
        "mixed": [given[0], str(paths[1]), as_file(given[2]), *arrays[3:]],
        "a tuple": tuple(given),
        "an array of strings": np.array([str(path) for path in paths]),
        "a column": pd.Series([str(path) for path in paths]),
        "a table of a column": pd.DataFrame({"file": [str(path) for path in paths]}),
    }
    for kind, x in kinds.items():
        assert torch.equal(FORM.tensor(x), expected), kind
    for one in (given[0], paths[0], str(paths[0]), as_file(given[0])):
        assert torch.equal(FORM.tensor(one), expected[:1])


def test_layouts_of_byte_arrays():
    pixels = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), np.uint8)
    expected = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    for form in (FORM, ExampleForm(shape=(3, 16, 16)), ExampleForm()):
        for x in (pixels, first, torch.from_numpy(pixels), list(pixels), list(first)):
            assert torch.equal(form.tensor(x), expected)
    grey = ExampleForm(Preparation(16, 1))
    assert torch.equal(grey.tensor(pixels[..., 0]), expected[:, :1])
    assert torch.equal(ExampleForm().tensor(pixels[..., 0]), expected[:, :1])
    # Four channels are colour with transparency.
    clear = np.zeros((1, 16, 16, 4), np.uint8)
    assert torch.equal(FORM.tensor(clear), torch.ones(1, 3, 16, 16))


def test_numbers_are_examples_as_they_are():
    rows = [[1, 2], [3, 4]]
    expected = torch.tensor(rows).float()
    form = ExampleForm(shape=(2,))
    table = pd.DataFrame(rows, columns=["a", "b"])
    for x in (rows, np.array(rows), np.array(rows, np.uint8), table, expected, list(expected)):
        assert torch.equal(form.tensor(x), expected)
    assert ExampleForm(dtype=torch.float64).tensor(rows).dtype == torch.float64
    # Whole numbers in a tensor may be tokens.
    assert form.tensor(torch.tensor(rows)).dtype == torch.int64
    prepared = torch.rand(2, 3, 16, 16)
    assert torch.equal(FORM.tensor(prepared), prepared)
    assert torch.equal(FORM.tensor(prepared.double().numpy()), prepared)


def test_many_examples_come_in_batches_of_bounded_size(tmp_path):
    x = torch.rand(300, 3, 64, 64)
    sizes = [len(batch) for batch in ExampleForm().batches(x)]
    assert sum(sizes) == 300
    assert max(sizes) * 3 * 64 * 64 <= 2**20
    # A file is read when its batch is due.
    Image.new("RGB", (8, 8)).save(tmp_path / "there.png")
    large = ExampleForm(Preparation(512, 3))
    batches = large.batches([tmp_path / "there.png", tmp_path / "missing.png"])
    assert len(next(batches)) == 1
    with pytest.raises(InputError, match=r"missing\.png is no picture"):
        next(batches)


@pytest.mark.parametrize(
    ("form", "x", "told"),
    [
        (FORM, [], "there are no examples"),
        (FORM, np.zeros((2, 16, 16, 5), np.uint8), "of neither 1, 3 nor 4 channels"),
        (FORM, np.zeros((2, 1, 16, 16), np.float32), r"an example is \[1, 16, 16\]; the network"),
        (ExampleForm(shape=(3, 16, 16)), np.zeros((1, 8, 8, 3), np.uint8), r"\[3, 8, 8\]"),
        (ExampleForm(shape=(4,)), [[1, 2]], r"an example is \[2\]; the network takes \[4\]"),
        (ExampleForm(), "owl.jpg", "owl.jpg is given, and it is not known how pictures are"),
        (ExampleForm(), [b"..."], "a picture is given, and it is not known"),
        (FORM, ["missing.png"], "missing.png is no picture that can be read"),
        (FORM, [Image.new("L", (8, 8)), 3.0], "pictures beside a float"),
        (ExampleForm(), [[1, 2], [3]], "a list that makes no array"),
        (ExampleForm(), [[1, float("nan")]], "NaN or infinity"),
        (ExampleForm(), [torch.zeros(2), torch.zeros(3)], r"example 1 is \[3\] and example 0"),
        (ExampleForm(), np.zeros((2, 2), complex), "complex128; expected numbers"),
        (ExampleForm(), np.zeros(3), r"the examples are \[3\]; expected \[examples, ...\]"),
        (ExampleForm(), 3, "x is a int; expected pictures"),
        (ExampleForm(), [np.zeros((8, 8), np.uint8), np.zeros((9, 9), np.uint8)], "sizes; give"),
    ],
)
def test_what_is_no_example_is_told_in_a_line(form, x, told):
    with pytest.raises(InputError, match=told) as caught:
        form.tensor(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shape", [(16, 16, 3), (40, 30, 3), (40, 30, 4), (3, 16, 16), (1, 16, 16, 2)]
)
def test_one_array_is_no_row_of_pictures(shape):
    # Taken as 16 pictures of 16x3 it would give 16 answers.
    with pytest.raises(InputError, match=r"\["):
        FORM.tensor(np.zeros(shape, np.uint8))


def test_grey_arrays_are_pictures_each():
    assert FORM.tensor(np.zeros((5, 40, 30), np.uint8)).shape == (5, 3, 16, 16)
    grey = ExampleForm(Preparation(16, 1))
    assert grey.tensor(np.zeros((3, 16, 16), np.uint8)).shape == (3, 1, 16, 16)
    assert FORM.tensor([np.zeros((40, 30, 3), np.uint8)]).shape == (1, 3, 16, 16)
