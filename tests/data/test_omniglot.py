"""The real Omniglot, and everything that can be wrong with its archives."""

import errno
import io
import os
import random
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewstep import InputError
from fewstep.data import omniglot
from fewstep.data.archives import folder_pictures
from fewstep.data.omniglot import load_omniglot

ARCHIVES = ("images_background.zip", "images_evaluation.zip")


@pytest.fixture(scope="module")
def characters(data_dir):
    return load_omniglot(data_dir)


def by_name(splits):
    classes = [(images, c) for images in splits.values() for c in range(len(images))]
    return {images.names[c]: images.subset([c]).pictures for images, c in classes}


@pytest.mark.omniglot
def test_all_characters_are_there_and_no_split_shares_one(characters):
    assert {split: len(images) for split, images in characters.items()} == {
        "train": 1100,
        "val": 100,
        "test": 423,
    }
    names = [name for images in characters.values() for name in images.names]
    assert len(set(names)) == 1623
    shuffled = sorted(names)
    random.Random(1).shuffle(shuffled)
    assert names == shuffled
    for images in characters.values():
        assert (images.counts == 20).all()
        assert images.pictures.shape[1:] == (1, 28, 28)
        assert 5 < images.pictures.mean() < 40


@pytest.mark.omniglot
def test_a_picture_is_the_files_own(characters, data_dir):
    images = characters["test"]
    where = next(i for i, name in enumerate(images.names) if name.startswith("Tibetan/"))
    part = data_dir / "omniglot" / "images_evaluation.zip"
    with zipfile.ZipFile(part) as archive:
        files = sorted(n for n in archive.namelist() if f"/{images.names[where]}/" in n)
        content = archive.read(files[3])
    plain = Image.open(io.BytesIO(content)).convert("L").resize((28, 28), Image.Resampling.LANCZOS)
    assert np.array_equal(images.pictures[images.starts[where] + 3, 0], 255 - np.asarray(plain))


@pytest.mark.omniglot
def test_unpacked_folders_give_the_same(characters, data_dir, tmp_path, monkeypatch):
    # One alphabet of each part: to read all once more would double the time of all these tests.
    for name, alphabet in zip(ARCHIVES, ("Greek", "Tibetan"), strict=True):
        with zipfile.ZipFile(data_dir / "omniglot" / name) as archive:
            wanted = [n for n in archive.namelist() if f"/{alphabet}/" in n]
            archive.extractall(tmp_path / "omniglot", wanted)
    monkeypatch.setattr(omniglot, "CHARACTERS", {"images_background": 24, "images_evaluation": 42})
    unpacked, packed = by_name(load_omniglot(tmp_path)), by_name(characters)
    assert unpacked.keys() == {n for n in packed if n.startswith(("Greek/", "Tibetan/"))}
    assert all(np.array_equal(unpacked[name], packed[name]) for name in unpacked)


@pytest.mark.omniglot
def test_the_second_call_reads_the_cache(characters, data_dir, monkeypatch):
    monkeypatch.setattr(omniglot, "_read", lambda _: pytest.fail("read again"))
    assert load_omniglot(data_dir)["val"].names == characters["val"].names


@pytest.mark.usefixtures("small")
def test_other_pictures_under_the_same_names_are_read_anew(tmp_path, write_both):
    write_both(tmp_path)
    assert not load_omniglot(tmp_path)["train"].pictures.any()
    ink = io.BytesIO()
    Image.new("1", (105, 105), 0).save(ink, "png")
    write_both(tmp_path, content=ink.getvalue())
    assert load_omniglot(tmp_path)["train"].pictures.max() == 255


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"neither images_background\.zip nor the folder"):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_an_unpacked_file_that_cannot_be_read(tmp_path, write_both):
    write_both(tmp_path)
    folder = tmp_path / "omniglot"
    for name in ARCHIVES:
        with zipfile.ZipFile(folder / name) as archive:
            archive.extractall(folder)
        (folder / name).unlink()
    pictures = folder_pictures(folder / "images_background")
    (folder / pictures.names[3]).unlink()
    with pytest.raises(InputError, match=rf"cannot read .*_03\.png \({os.strerror(errno.ENOENT)}"):
        list(pictures.read(pictures.names))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("first", "told"),
    [
        ({"drawings": 19}, "19 drawings of background/character00, expected 20"),
        ({"characters": 1}, "1 characters, expected 2"),
        ({"characters": 3}, "3 characters, expected 2"),
        ({"extra": [("cats/cat.png", b"")]}, "'cats/cat.png'; expected images_background/"),
        ({"extra": [("../evil.png", b"evil")]}, "'../evil.png', which is outside its folder"),
        ({"extra": [("/evil.png", b"evil")]}, "'/evil.png', which is outside its folder"),
    ],
)
def test_a_foreign_archive(tmp_path, write_both, first, told):
    write_both(tmp_path / "data", **first)
    with pytest.raises(InputError, match=told):
        load_omniglot(tmp_path / "data")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == sorted(ARCHIVES)


def png_start(size):
    """A PNG that ends where its pixels begin."""
    header = b"IHDR" + size + b"\1\0\0\0\0"
    length = len(header[4:]).to_bytes(4, "big")
    checksum = zlib.crc32(header).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + length + header + checksum + b"\0\0\0\x09IDAT"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "content",
    [
        b"no picture",
        png_start(b"\0\0\0\x69\0\0\0\x69"),
        png_start(b"\0\0\xff\xff\0\0\xff\xff"),
        png_start(b""),
    ],
    ids=["text", "truncated", "huge", "no size"],
)
def test_a_file_that_is_no_picture(tmp_path, write_both, content):
    write_both(tmp_path, content=content)
    with pytest.raises(InputError, match=r"character00/0_00\.png in .* is no picture"):
        load_omniglot(tmp_path)


def png(mode, size):
    content = io.BytesIO()
    Image.new(mode, size).save(content, "png")
    return content.getvalue()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (png("1", (1, 1)), "has 1x1 pixels of mode 1; expected 105x105"),
        (png("1", (210, 105)), "has 210x105 pixels"),
        (png("1", (105, 106)), "has 105x106 pixels"),
        (png("I;16", (105, 105)), "has 105x105 pixels of mode I;16; expected .* black and white"),
        (png("RGBA", (105, 105)), "of mode RGBA"),
        (png_start((9000).to_bytes(4, "big") * 2), "has 9000x9000 pixels"),
        (png_start((10_000).to_bytes(4, "big") * 2), "is no picture .Image size .100000000 pixels"),
    ],
    ids=["1x1", "210x105", "105x106", "16 bit", "colour", "81 megapixels", "100 megapixels"],
)
def test_a_picture_that_is_none_of_omniglot(tmp_path, write_both, content, told):
    write_both(tmp_path, content=content)
    with pytest.raises(InputError, match=rf"character00/0_00\.png in .* {told}"):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_a_picture_in_another_format(tmp_path, write_both):
    """A file by any other name: Pillow would hand PostScript to another program."""
    content = io.BytesIO()
    Image.new("L", (105, 105)).save(content, "jpeg")
    write_both(tmp_path, content=content.getvalue())
    with pytest.raises(InputError, match=r"character00/0_00\.png in .* is no picture"):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_download(server, tmp_path):
    names = [name for images in load_omniglot(None).values() for name in images.names]
    assert len(names) == 4
    assert {p.name for p in (tmp_path / "cache" / "omniglot").iterdir()} == set(ARCHIVES)


@pytest.mark.usefixtures("small")
def test_a_download_with_another_checksum(server, tmp_path):
    (server / ARCHIVES[1]).write_bytes(b"another file")
    with pytest.raises(InputError, match=r"cannot download .*images_evaluation\.zip \("):
        load_omniglot(None)
    assert not list(Path(tmp_path, "cache").rglob("images_evaluation.zip"))


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(omniglot, "URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"cannot download .* --data-dir or FEWSTEP_DATA"):
        load_omniglot(None)
