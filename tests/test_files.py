"""A file is written whole or not at all."""

import errno
import os
import socket
from pathlib import Path

import pytest

from fewstep import InputError
from fewstep.files import read_json_object, write_together, write_whole


def test_what_is_written_replaces_what_was_there(tmp_path):
    path = tmp_path / "file"
    write_whole(path, lambda part: part.write_text("first"))
    write_whole(path, lambda part: part.write_text("second"))
    assert path.read_text() == "second"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_full_disk_keeps_the_old_file_and_leaves_no_part(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_to_full_device(part):
        part.write_text("half")
        with open("/dev/full", "w") as full:
            full.write("x")

    with pytest.raises(InputError, match=r"no disk space left for .*file; free some"):
        write_whole(path, write_to_full_device)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_others_may_read_what_the_umask_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "file", lambda part: part.write_text("x"))
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write"):
        write_whole(tmp_path / "file" / "below", lambda part: part.write_text("x"))


def test_a_part_is_never_mistaken_for_the_file(tmp_path):
    path = tmp_path / "file"
    seen = []
    write_whole(path, lambda part: (seen.append(path.exists()), part.write_text("x")))
    assert seen == [False]
    assert os.listdir(tmp_path) == ["file"]


def test_parts_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    path, dead = tmp_path / "file", tmp_path / ".file.0a1b2c3d.part"
    dead.write_text("half")
    others = tmp_path / ".other.0a1b2c3d.part"
    others.write_text("half")

    def while_another_writes(part):
        part.write_text("outer")
        write_whole(path, lambda inner: inner.write_text("inner"))
        assert path.read_text() == "inner"

    write_whole(path, while_another_writes)
    assert path.read_text() == "outer"
    assert {p.name for p in tmp_path.iterdir()} == {"file", others.name}


def kinds(folder):
    """Names of places where something other than a regular file stands."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        # By its name alone, since the path of a socket may not be long.
        bound.bind("socket")
    (folder / "folder").mkdir()
    (folder / "device").symlink_to("/dev/null")
    (folder / "link to folder").symlink_to("folder")
    (folder / "loop").symlink_to("loop")
    return ["pipe", "socket", "folder", "device", "link to folder", "loop"]


def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in kinds(tmp_path):
        path, before = tmp_path / name, (tmp_path / name).lstat()
        with pytest.raises(InputError, match=rf"cannot write .*{name} \("):
            write_whole(path, lambda part: pytest.fail("written before it is refused"))
        assert path.lstat().st_ino == before.st_ino
    assert not list(tmp_path.glob(".*.part"))


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_text("old")
    (tmp_path / "link").symlink_to("below/file")
    (tmp_path / "new link").symlink_to("below/new")
    for name, target in (("link", "file"), ("new link", "new")):
        write_whole(tmp_path / name, lambda part: part.write_text("new"))
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "below" / target).read_text() == "new"
    assert sorted(os.listdir(tmp_path / "below")) == ["file", "new"]


@pytest.mark.parametrize("name", [".", "..", "/"])
def test_a_path_without_a_name_is_refused(name):
    with pytest.raises(InputError, match=r"cannot write .* \(it is a folder\)"):
        write_whole(Path(name), lambda part: pytest.fail("written before it is refused"))


def test_json_that_is_damaged_is_told_in_one_line(tmp_path):
    path = tmp_path / "file.json"
    damaged = [b"", b"{", b'{"a": "\xff"}', b"[" * 200_000 + b"]" * 200_000, b"[1, 2]"]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"^.*file\.json [^\n]*; mend it$"):
            read_json_object(path, "mend it")


def test_files_beside_one_another_bring_no_folder_back(tmp_path):
    with pytest.raises(
        InputError, match=rf"cannot write .*gone/file \({os.strerror(errno.ENOENT)}"
    ):
        write_whole(tmp_path / "gone" / "file", lambda part: part.write_text("x"))
    assert not (tmp_path / "gone").exists()


def test_of_files_that_belong_together_all_are_written_or_none(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("old")

    def fail(part):
        part.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"no disk space left for .*second; free some"):
        write_together({first: lambda part: part.write_text("new"), second: fail})
    assert first.read_text() == "old"
    assert os.listdir(tmp_path) == ["first"]
    write_together({path: lambda part: part.write_text("new") for path in (first, second)})
    assert first.read_text() == second.read_text() == "new"
