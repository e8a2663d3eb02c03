"""A user's own pictures: found in folders, read, and compared byte by byte."""

import os

import numpy as np
import pytest
from PIL import Image

from fewstep import InputError
from fewstep.data.own_pictures import (
    alike,
    as_known,
    check_query_classes,
    files_below,
    may_be_picture,
    query_files,
    read_picture,
    read_pictures,
    read_support,
    repeated,
    support_files,
)
from fewstep.data.preparation import Preparation
from tests.data.pictures import noise, write_folder

HOW = Preparation(8, 3)


def test_classes_are_folders_of_any_depth(tmp_path):
    write_folder(tmp_path / "birds", 2, 2)
    write_folder(tmp_path / "fish", 1, 3)
    found = support_files(tmp_path)
    assert sorted(set(found.labels)) == ["birds/class00", "birds/class01", "fish/class00"]
    assert found.files[0] == tmp_path / "birds" / "class00" / "00.png"
    assert len(found.files) == 7


def test_folders_of_no_pictures_are_no_classes(tmp_path):
    write_folder(tmp_path, 2, 1)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("note")
    (tmp_path / ".hidden").mkdir()
    noise(1).save(tmp_path / ".hidden" / "1.png")
    assert set(support_files(tmp_path).labels) == {"class00", "class01"}


def test_a_class_in_a_format_that_is_not_read(tmp_path):
    write_folder(tmp_path, 2, 1)
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(90))
    with pytest.raises(InputError, match=r"no picture of class 'owl' .*no picture of a known form"):
        read_support(tmp_path, support_files(tmp_path), HOW)


def test_one_class_is_enough_to_add(tmp_path):
    write_folder(tmp_path, 1, 1)
    assert support_files(tmp_path, least=1).labels == ["class00"]
    with pytest.raises(InputError, match="holds one class, 'class00'; expected two or more"):
        support_files(tmp_path)


def test_a_query_folder_with_and_without_classes(tmp_path):
    write_folder(tmp_path / "with", 2, 1)
    assert query_files(tmp_path / "with").labels == ["class00", "class01"]
    assert query_files(tmp_path / "with" / "class00").labels is None
    noise(9).save(tmp_path / "with" / "stray.png")
    with pytest.raises(InputError, match="beside folders"):
        query_files(tmp_path / "with")


def test_all_files_below_a_folder(tmp_path):
    write_folder(tmp_path, 2, 1)
    noise(9).save(tmp_path / "stray.png")
    found = files_below(tmp_path)
    assert [os.path.relpath(path, tmp_path) for path in found.files] == [
        *("class00/00.png", "class01/00.png", "stray.png")
    ]


def test_unknown_classes_are_named(tmp_path):
    write_folder(tmp_path, 6, 1)
    check_query_classes(query_files(tmp_path), {f"class0{n}" for n in range(6)}, tmp_path)
    with pytest.raises(InputError, match=r"'class02', 'class03', \.\.\., which"):
        check_query_classes(query_files(tmp_path), {"class00"}, tmp_path)


def test_reading_goes_on_after_a_bad_file(tmp_path):
    write_folder(tmp_path, 2, 2)
    (tmp_path / "class00" / "00.png").write_bytes(b"GIF89a")
    found = read_support(tmp_path, support_files(tmp_path), HOW)
    assert found.labels == ["class00", "class01", "class01"]
    assert found.pixels.shape == (3, 3, 8, 8)
    assert found.x.max() <= 1
    assert [problem.path for problem in found.problems] == [str(tmp_path / "class00" / "00.png")]
    assert not any("the picture is" in problem.reason for problem in found.problems)


def test_a_class_without_a_readable_picture(tmp_path):
    write_folder(tmp_path, 2, 1)
    (tmp_path / "class01" / "00.png").write_bytes(b"GIF89a")
    with pytest.raises(InputError, match="no picture of class 'class01'"):
        read_support(tmp_path, support_files(tmp_path), HOW)


def test_nothing_can_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(b"GIF89a")
    found = read_pictures(query_files(tmp_path), HOW)
    assert found.pixels.shape == (0, 3, 8, 8)
    assert found.files == []


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "empty", "device", "nul"])
def test_files_that_are_no_pictures(kind, tmp_path):
    place = tmp_path / kind
    make = {"folder": place.mkdir, "empty": place.touch, "pipe": lambda: os.mkfifo(place)}
    make.get(kind, lambda: None)()
    places = {"device": "/dev/zero", "nul": f"{tmp_path}/a\0b"}
    with pytest.raises(InputError) as told:
        read_picture(type(place)(places.get(kind, place)), HOW)
    assert len(str(told.value).splitlines()) == 1


def test_the_same_bytes_are_found(tmp_path):
    write_folder(tmp_path / "support", 2, 1)
    (tmp_path / "query").mkdir()
    original = tmp_path / "support" / "class01" / "00.png"
    (tmp_path / "query" / "copy.png").write_bytes(original.read_bytes())
    Image.open(original).save(tmp_path / "query" / "similar.bmp")
    support = read_support(tmp_path, support_files(tmp_path / "support"), HOW)
    query = read_pictures(query_files(tmp_path / "query"), HOW)
    assert np.array_equal(query.pixels[0], query.pixels[1])
    assert repeated(support, query) == [(tmp_path / "query" / "copy.png", original)]


def test_names_of_pictures():
    assert all(map(may_be_picture, ["a.png", "A.JPG", "b.tiff", "c/d.webp", "no suffix"]))
    # Of telephones and cameras, which Pillow may not read: they are told, not passed over.
    assert all(map(may_be_picture, ["IMG_1.HEIC", "a.heif", "a.dng", "a.CR2", "a.jxl"]))
    assert not any(map(may_be_picture, ["a.txt", "a.csv", "a.py", "a.json"]))


def test_classes_are_compared_however_they_are_spelled(tmp_path):
    for folder, names in (("support", ("e\u0301", "owl")), ("query", ("\u00e9", "owl"))):
        for number, name in enumerate(names):
            (tmp_path / folder / name).mkdir(parents=True)
            noise(number).save(tmp_path / folder / name / "1.png")
    support, query = support_files(tmp_path / "support"), query_files(tmp_path / "query")
    assert sorted(support.labels) == sorted(query.labels) == ["owl", "\u00e9"]
    check_query_classes(query, support.labels, tmp_path)
    # A model of an earlier version may know the other spelling.
    assert "e\u0301" in as_known(support, ("e\u0301", 3)).labels


def test_a_class_of_another_spelling_without_a_readable_picture(tmp_path):
    write_folder(tmp_path, 1, 1)
    (tmp_path / "e\u0301").mkdir()
    (tmp_path / "e\u0301" / "1.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no picture of class '.' .* can be read"):
        read_support(tmp_path, support_files(tmp_path), HOW)


def test_an_empty_support_folder_is_told_what_it_should_hold(tmp_path):
    with pytest.raises(InputError, match=r"no pictures; expected a folder a class, as in .*owl/1"):
        support_files(tmp_path)


def test_support_pictures_that_are_alike(tmp_path):
    write_folder(tmp_path, 2, 2)
    content = (tmp_path / "class00" / "00.png").read_bytes()
    (tmp_path / "class01" / "02.png").write_bytes(content)
    assert alike(read_support(tmp_path, support_files(tmp_path), HOW)) == [(4, 0)]
