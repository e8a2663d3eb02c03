"""A folder is written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from fewstep import InputError
from fewstep.predictors.whole_folder import write_folder

NAMES = ("a", "b", "last")


def put(folder, text="new", names=NAMES):
    def write(part):
        for name in names:
            (part / name).write_text(text)

    write_folder(Path(folder), write, NAMES, "last")


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_new_an_empty_and_an_earlier_folder(tmp_path, monkeypatch):
    new = tmp_path / "deep" / "new"
    put(new)
    put(new, "newer", ("a", "last"))
    assert content(new) == {"a": "newer", "last": "newer"}
    empty = tmp_path / "empty"
    empty.mkdir()
    inode = empty.stat().st_ino
    monkeypatch.chdir(empty)
    put(".")
    assert content(empty) == dict.fromkeys(NAMES, "new")
    # It may be the place of a disk.
    assert empty.stat().st_ino == inode
    link = tmp_path / "link"
    link.symlink_to(new)
    put(link, "linked")
    assert link.is_symlink()
    assert content(new) == dict.fromkeys(NAMES, "linked")
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "empty", "link"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["new"]


def test_a_folder_that_holds_something_else_stays(tmp_path):
    other, half, file = tmp_path / "other", tmp_path / "half", tmp_path / "file"
    other.mkdir()
    (other / "last").write_text("old")
    (other / "notes.txt").write_text("mine")
    half.mkdir()
    (half / "a").write_text("mine")
    file.write_text("mine")
    for folder, told in {
        other: r"other holds 'notes.txt' and would be replaced",
        half: r"half holds 'a' and would be replaced",
        file: r"cannot write .*file \(it is no folder\)",
        file / "inside": r"cannot write .*file",
        Path("/"): r"cannot write / \(it is no folder\)",
    }.items():
        with pytest.raises(InputError, match=told):
            put(folder)
    assert content(other) == {"last": "old", "notes.txt": "mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "half", "other"]


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("kind", ["new", "empty", "earlier"])
@pytest.mark.parametrize("at", ["write", "sync", "move"])
def test_a_failure_leaves_what_was_there(kind, at, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    if kind == "empty":
        folder.mkdir()
    if kind == "earlier":
        put(folder, "old")
    before = content(folder) if folder.exists() else None
    rename = Path.rename

    def moved(self, target):
        # An earlier folder is first moved away, which has to be undone.
        if Path(target).name in ("folder", "last") and ".old" not in self.name:
            full_disk()
        return rename(self, target)

    if at == "sync":
        monkeypatch.setattr(os, "fsync", full_disk)
    if at == "move":
        monkeypatch.setattr(Path, "rename", moved)

    def write(part):
        for name in NAMES:
            (part / name).write_text("new")
        if at == "write":
            full_disk()

    with pytest.raises(InputError, match="no disk space left for"):
        write_folder(folder, write, NAMES, "last")
    assert (content(folder) if folder.exists() else None) == before
    assert [path.name for path in tmp_path.iterdir()] == ([] if kind == "new" else ["folder"])


def test_what_a_kill_left_is_removed(tmp_path):
    left = [".folder.12ab34cd.part", ".folder.12ab34cd.old"]
    folder = tmp_path / "folder"
    for place in (tmp_path, folder):
        for name in left:
            (place / name).mkdir(parents=True)
            (place / name / "a").write_text("half")
    (tmp_path / ".folder.notes.part").mkdir()
    put(folder)
    assert content(folder) == dict.fromkeys(NAMES, "new")
    assert {path.name for path in tmp_path.iterdir()} == {"folder", ".folder.notes.part"}
    # Half of what is moved into an empty folder file by file.
    half = tmp_path / "half"
    (half / ".half.12ab34cd.part").mkdir(parents=True)
    (half / "a").write_text("half")
    put(half)
    assert content(half) == dict.fromkeys(NAMES, "new")


def test_a_folder_that_another_process_writes_stays(tmp_path):
    def write(part):
        put(tmp_path / "folder", "other")
        assert part.is_dir()
        for name in NAMES:
            (part / name).write_text("new")

    write_folder(tmp_path / "folder", write, NAMES, "last")
    assert content(tmp_path / "folder") == dict.fromkeys(NAMES, "new")
