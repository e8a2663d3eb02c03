"""The real Omniglot, and everything that can be wrong with its archives."""

import hashlib
import io
import shutil
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewstep import InputError
from fewstep.data import omniglot
from fewstep.data.omniglot import load_omniglot

ARCHIVES = ("images_background.zip", "images_evaluation.zip")


@pytest.fixture(scope="module")
def characters(data_dir):
    return load_omniglot(data_dir)


@pytest.fixture
def small(monkeypatch):
    """Expect two characters in each part instead of all."""
    monkeypatch.setattr(omniglot, "CHARACTERS", dict.fromkeys(omniglot.CHARACTERS, 2))


def write_archive(path, characters=2, drawings=20, extra=()):
    """An archive in Omniglot's layout; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    Image.new("1", (105, 105), 1).save(picture, "png")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/", b"")
        archive.writestr("__MACOSX/._x", b"")
        for c in range(characters):
            for d in range(drawings):
                name = f"{path.stem}/{path.stem[7:]}/character{c:02}/0_{d:02}.png"
                archive.writestr(name, picture.getvalue())
        for name, content in extra:
            archive.writestr(name, content)
    return path.read_bytes()


def write_both(folder, **first):
    write_archive(folder / "omniglot" / ARCHIVES[0], **first)
    write_archive(folder / "omniglot" / ARCHIVES[1])


def test_all_characters_are_there_and_no_split_shares_one(characters):
    assert {split: len(images) for split, images in characters.items()} == {
        "train": 1100,
        "val": 100,
        "test": 423,
    }
    names = [name for images in characters.values() for name in images.names]
    assert len(set(names)) == 1623
    for images in characters.values():
        assert (images.counts == 20).all()
        assert images.pictures.shape[1:] == (1, 28, 28)
        assert 5 < images.pictures.mean() < 40


def test_a_picture_is_the_files_own(characters, data_dir):
    images = characters["test"]
    where = next(i for i, name in enumerate(images.names) if name.startswith("Tibetan/"))
    part = data_dir / "omniglot" / "images_evaluation.zip"
    with zipfile.ZipFile(part) as archive:
        files = sorted(n for n in archive.namelist() if f"/{images.names[where]}/" in n)
        content = archive.read(files[3])
    plain = Image.open(io.BytesIO(content)).convert("L").resize((28, 28), Image.Resampling.LANCZOS)
    assert np.array_equal(images.pictures[images.starts[where] + 3, 0], 255 - np.asarray(plain))


def test_unpacked_folders_give_the_same(characters, data_dir, tmp_path):
    for name in ARCHIVES:
        with zipfile.ZipFile(data_dir / "omniglot" / name) as archive:
            archive.extractall(tmp_path / "omniglot")
    for split, images in load_omniglot(tmp_path).items():
        assert images.names == characters[split].names
        assert np.array_equal(images.pictures, characters[split].pictures)


def test_the_second_call_reads_the_cache(characters, data_dir, monkeypatch):
    monkeypatch.setattr(omniglot, "_read", lambda _: pytest.fail("read again"))
    assert load_omniglot(data_dir)["val"].names == characters["val"].names


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="neither images_background.zip nor the folder"):
        load_omniglot(tmp_path)


def test_a_truncated_archive(data_dir, tmp_path):
    shutil.copytree(data_dir / "omniglot", tmp_path / "omniglot", copy_function=shutil.copyfile)
    cut = tmp_path / "omniglot" / ARCHIVES[0]
    content = (data_dir / "omniglot" / ARCHIVES[0]).read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"images_background.zip is no whole zip archive"):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_damaged_bytes_inside_an_archive(tmp_path):
    write_both(tmp_path)
    path = tmp_path / "omniglot" / ARCHIVES[0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"IDAT", b"XDAT", 1))
    with pytest.raises(InputError, match=r"images_background.zip is no whole zip archive"):
        load_omniglot(tmp_path)


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
        (
            {
                "drawings": 0,
                "extra": [
                    (f"images_background/a/character{c}/{d:02}.png", b"no picture")
                    for c in range(2)
                    for d in range(20)
                ],
            },
            "is no picture",
        ),
    ],
)
def test_a_foreign_archive(tmp_path, first, told):
    write_both(tmp_path / "data", **first)
    with pytest.raises(InputError, match=told):
        load_omniglot(tmp_path / "data")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == sorted(ARCHIVES)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The authors' site: here, with two small archives."""
    folder = tmp_path / "site"
    md5 = {name: hashlib.md5(write_archive(folder / name)).hexdigest() for name in ARCHIVES}
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        monkeypatch.setattr(omniglot, "URL", f"http://127.0.0.1:{site.server_port}/")
        monkeypatch.setattr(omniglot, "MD5", md5)
        monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "cache"))
        yield folder
        site.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.usefixtures("small")
def test_download(server, tmp_path):
    names = [name for images in load_omniglot(None).values() for name in images.names]
    assert len(names) == 4
    assert {p.name for p in (tmp_path / "cache" / "omniglot").iterdir()} == set(ARCHIVES)


@pytest.mark.usefixtures("small")
def test_a_download_with_another_checksum(server, tmp_path):
    (server / ARCHIVES[1]).write_bytes(b"another file")
    with pytest.raises(InputError, match=r"cannot download .*images_evaluation.zip"):
        load_omniglot(None)
    assert not list(Path(tmp_path, "cache").rglob("images_evaluation.zip"))


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(omniglot, "URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="cannot download .* --data-dir or FEWSTEP_DATA"):
        load_omniglot(None)
