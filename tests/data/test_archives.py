"""Picture files of an archive or a folder: what is damaged or too large is not read."""

import io
import os
import shutil
import zipfile

import pytest

from fewstep import InputError
from fewstep.data.omniglot import load_omniglot

ARCHIVES = ("images_background.zip", "images_evaluation.zip")


@pytest.mark.omniglot
def test_a_truncated_archive(data_dir, tmp_path):
    shutil.copytree(data_dir / "omniglot", tmp_path / "omniglot", copy_function=shutil.copyfile)
    cut = tmp_path / "omniglot" / ARCHIVES[0]
    content = (data_dir / "omniglot" / ARCHIVES[0]).read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"images_background.zip is no whole zip archive"):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_a_file_twice(tmp_path, write_both):
    name = "images_background/background/character00/0_00.png"
    write_both(tmp_path, extra=[(name, b"")])
    with pytest.raises(InputError, match=r"0_00\.png' twice; get the archive again"):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_damaged_bytes_inside_an_archive(tmp_path, write_both):
    write_both(tmp_path)
    path = tmp_path / "omniglot" / ARCHIVES[0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"IDAT", b"XDAT", 1))
    with pytest.raises(InputError, match=r"images_background.zip is no whole zip archive"):
        load_omniglot(tmp_path)


def unread(monkeypatch):
    for read in ("_read_zip", "_read_folder"):
        monkeypatch.setattr(f"fewstep.data.archives.{read}", lambda *_: pytest.fail("it was read"))


LARGE = "images_background/background/character00/0_00.png' of 3,221,225,472 bytes, too large"


@pytest.mark.usefixtures("small")
def test_an_entry_of_a_declared_size_is_not_read(tmp_path, write_both, monkeypatch):
    write_both(tmp_path)
    path = tmp_path / "omniglot" / ARCHIVES[0]
    name = b"images_background/background/character00/0_00.png"
    content = bytearray(path.read_bytes())
    # In the directory at the archive's end the name stands 22 bytes behind the size.
    size = content.rindex(name) - 22
    content[size : size + 4] = (3 * 2**30).to_bytes(4, "little")
    path.write_bytes(content)
    unread(monkeypatch)
    with pytest.raises(InputError, match=LARGE):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_an_archive_of_a_later_version(tmp_path, write_both):
    write_both(tmp_path)
    path = tmp_path / "omniglot" / ARCHIVES[0]
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 6] = 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is no whole zip archive \("):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_a_zip_bomb_is_not_read(tmp_path, write_both, monkeypatch):
    write_both(tmp_path)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("images_background/background/character00/0_00.png", bytes(2**21))
    assert len(bomb.getvalue()) < 2**15
    (tmp_path / "omniglot" / ARCHIVES[0]).write_bytes(bomb.getvalue())
    unread(monkeypatch)
    with pytest.raises(InputError, match=r"0_00\.png' of 2,097,152 bytes, too large"):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
def test_a_large_file_of_a_folder_is_not_read(tmp_path, write_both, monkeypatch):
    write_both(tmp_path)
    folder = tmp_path / "omniglot"
    for name in ARCHIVES:
        with zipfile.ZipFile(folder / name) as archive:
            archive.extractall(folder)
        (folder / name).unlink()
    os.truncate(folder / "images_background/background/character00/0_00.png", 3 * 2**30)
    unread(monkeypatch)
    with pytest.raises(InputError, match=LARGE):
        load_omniglot(tmp_path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_compressed_in_an_unusual_way(tmp_path, write_both, method):
    write_both(tmp_path)
    with zipfile.ZipFile(tmp_path / "omniglot" / ARCHIVES[0], "w", method) as archive:
        archive.writestr("images_background/background/character00/0_00.png", b"x")
    with pytest.raises(InputError, match=rf"0_00.png', compressed by method {method}; expected"):
        load_omniglot(tmp_path)
