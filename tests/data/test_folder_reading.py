"""Reading in several processes gives what one gives, and tells of what goes wrong."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from fewstep import InputError
from fewstep.data import folder_reading
from fewstep.data.folder_listing import File, list_folder
from fewstep.data.folder_reading import Reading, compact, read_all
from fewstep.data.preparation import Preparation
from tests.data.pictures import write_folder


@pytest.fixture
def reading(tmp_path):
    root = write_folder(tmp_path / "photos", classes=5, pictures=20)
    files = [file for of in list_folder(root).classes.values() for file in of]
    (tmp_path / "part").touch()
    return Reading(tmp_path / "part", root, files, Preparation(8, 3), False)


@pytest.mark.parametrize("few", [1, 1000])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_processes_and_threads_read_the_same(few, platform, reading, monkeypatch):
    monkeypatch.setattr(folder_reading, "FEW", few)
    monkeypatch.setattr("sys.platform", platform)
    outcomes = read_all(reading)
    pictures = np.fromfile(reading.part, np.uint8).reshape(100, 3, 8, 8)
    assert (pictures == [reading.how(reading.root / file.path) for file in reading.files]).all()
    assert len(set(outcomes.digests)) == 100
    assert not outcomes.problems
    assert not outcomes.notes


def test_a_file_that_changes_or_goes_meanwhile(reading):
    first, second, third = (Path(reading.root, file.path) for file in reading.files[:3])
    os.utime(first, (1, 1))
    second.unlink()
    with third.open("ab") as file:
        file.write(b"more")
    told = read_all(reading).problems
    assert told == {
        0: "changed while the folder was read",
        1: "No such file or directory",
        2: "changed while the folder was read",
    }


def test_what_is_kept_moves_together(reading):
    read_all(reading)
    whole = np.fromfile(reading.part, np.uint8).reshape(100, 3, 8, 8)
    kept = [number for number in range(100) if number % 7]
    compact(reading.part, kept, 100, reading.how)
    left = np.fromfile(reading.part, np.uint8).reshape(-1, 3, 8, 8)
    assert (left == whole[kept]).all()


def test_a_process_that_is_ended_is_told(reading, monkeypatch):
    monkeypatch.setattr(folder_reading, "FEW", 1)
    parent = os.getpid()

    def read(self, first):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Reading, "read", read)
    with pytest.raises(InputError, match="a process that read pictures was ended, perhaps for"):
        read_all(reading)


def test_a_name_that_says_another_format():
    for name, kind, told in (
        ("a.jpg", "JPEG", ""),
        ("a.JPEG", "MPO", ""),
        ("a.png", "PNG", ""),
        ("a.tif", "TIFF", ""),
        ("a.webp", "WEBP", ""),
        ("a.png", "JPEG", "is JPEG"),
        ("a", "PNG", "is PNG"),
        ("a.jpg_large", "JPEG", "is JPEG"),
    ):
        assert folder_reading._misnamed(name, kind).startswith(told)
        assert bool(folder_reading._misnamed(name, kind)) == bool(told)


def test_a_file_of_another_size_than_listed(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    state = (tmp_path / "x").stat()
    path = str(tmp_path / "x")
    assert folder_reading._content(path, File("x", 3, state.st_mtime_ns)) == b"abc"
    for size, mtime in ((2, state.st_mtime_ns), (4, state.st_mtime_ns), (3, 7)):
        with pytest.raises(ValueError, match="changed while"):
            folder_reading._content(path, File("x", size, mtime))
