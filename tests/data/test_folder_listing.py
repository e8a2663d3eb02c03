"""Which folders are classes, which files are read, and what is told of the others."""

import os

import pytest

from fewstep import InputError
from fewstep.data import folder_listing
from fewstep.data.folder_listing import UNUSABLE, Problem, by_folder, list_folder
from tests.data.pictures import write_folder


def make(root, *files):
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def found(root):
    return {name: [file.path for file in of] for name, of in list_folder(root).classes.items()}


def problems(root):
    return {problem.path: problem.reason for problem in list_folder(root).problems}


def test_a_class_is_the_folder_that_holds_files(tmp_path):
    make(tmp_path, "owl/2.png", "owl/1.png", "birds/crow/a.png", "birds/tit/b.png", "birds/c.png")
    assert found(tmp_path) == {
        "birds": ["birds/c.png"],
        "birds/crow": ["birds/crow/a.png"],
        "birds/tit": ["birds/tit/b.png"],
        "owl": ["owl/1.png", "owl/2.png"],
    }
    assert not problems(tmp_path)


def test_what_systems_leave_lying_is_passed_over(tmp_path):
    make(
        tmp_path, "owl/1.png", "owl/.DS_Store", "owl/Thumbs.db", "__MACOSX/owl/._1.png", ".x/1.png"
    )
    make(tmp_path, "owl/desktop.ini", ".DS_Store", "owl/._1.png", "owl/@eaDir/1.png/SYNO.jpg")
    assert found(tmp_path) == {"owl": ["owl/1.png"]}
    assert not problems(tmp_path)


def test_files_that_are_left_out(tmp_path, monkeypatch):
    make(tmp_path, "owl/1.png", "owl/empty.png", "owl/large.png", "stray.png")
    (tmp_path / "owl" / "empty.png").write_bytes(b"")
    (tmp_path / "owl" / "large.png").write_bytes(b"x" * 101)
    (tmp_path / "crow").mkdir()
    os.mkfifo(tmp_path / "owl" / "pipe")
    monkeypatch.setattr(folder_listing, "LARGEST", 100)
    assert found(tmp_path) == {"owl": ["owl/1.png"]}
    assert problems(tmp_path) == {
        "crow": "a folder without pictures",
        "owl/empty.png": "empty",
        "owl/large.png": "too large: 101 bytes",
        "owl/pipe": "no regular file",
        "stray.png": "stands in no folder of a class",
    }


def test_links_stay_inside_the_folder(tmp_path):
    root = make(tmp_path / "photos", "owl/1.png", ".store/2.png")
    make(tmp_path / "other", "3.png")
    links = {
        "owl/in.png": "../.store/2.png",
        "owl/out.png": tmp_path / "other" / "3.png",
        "owl/circle": "..",
        "owl/loop.png": "loop.png",
        "owl/gone.png": "nothing.png",
        "crow": tmp_path / "other",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    assert found(root) == {"owl": ["owl/1.png", "owl/in.png"]}
    told = problems(root)
    assert told.pop("owl/loop.png").startswith("cannot be read (")
    assert told == {
        "crow": "a link to a folder, which is not followed",
        "owl/circle": "a link to a folder, which is not followed",
        "owl/gone.png": "cannot be read (No such file or directory)",
        "owl/out.png": "a link out of the folder, which is not followed",
    }
    (tmp_path / "link").symlink_to(root)
    assert found(tmp_path / "link") == found(root)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("training", "valid", "testing")])
def test_parts_are_those_of_the_folder(names, tmp_path):
    train, val, test = names
    make(tmp_path, f"{train}/owl/1.png", f"{train}/a/b/1.png", f"{val}/crow/1.png")
    make(tmp_path, f"{test}/tit/1.png", "more/jay/1.png", f"{train}/stray.png")
    listing = list_folder(tmp_path)
    assert listing.parts == {"train": ["a/b", "owl"], "val": ["crow"], "test": ["tit"]}
    assert list(listing.classes) == ["a/b", "crow", "owl", "tit"]
    assert problems(tmp_path) == {
        "more/jay/1.png": "stands beside the parts of the split",
        f"{train}/stray.png": "stands in no folder of a class",
    }


def test_parts_of_ordinary_classification_are_no_split(tmp_path):
    make(tmp_path, "train/owl/1.png", "train/crow/1.png", "test/owl/2.png", "test/crow/2.png")
    listing = list_folder(tmp_path)
    assert listing.parts is None
    assert found(tmp_path) == {
        "crow": ["test/crow/2.png", "train/crow/1.png"],
        "owl": ["test/owl/2.png", "train/owl/1.png"],
    }


@pytest.mark.parametrize("files", [("train/owl/1.png",), ("test/owl/1.png", "val/crow/1.png")])
def test_one_part_alone_is_a_folder_like_others(files, tmp_path):
    make(tmp_path, *files)
    assert list_folder(tmp_path).parts is None
    assert set(found(tmp_path)) == {file.rpartition("/")[0] for file in files}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "holds no folder with pictures; expected a folder a class, as in"),
        (("1.png",), r"holds no folder with pictures \(1.png: stands in no folder of a class\)"),
        ((".git/1.png",), "holds no folder with pictures"),
    ],
)
def test_folders_without_a_class(files, told, tmp_path):
    make(tmp_path, *files)
    with pytest.raises(InputError, match=told):
        list_folder(tmp_path)


def test_no_folder_at_all(tmp_path):
    make(tmp_path, "a.zip")
    with pytest.raises(
        InputError, match=r"a\.zip is a file; expected a folder with a folder of pi"
    ):
        list_folder(tmp_path / "a.zip")
    with pytest.raises(InputError, match="none is not there; expected a folder"):
        list_folder(tmp_path / "none")


def test_names_in_any_bytes(tmp_path):
    odd = os.fsdecode(b"\xff\xfe o\nl")
    make(tmp_path, f"{odd}/1.png", "猫/1.png")
    assert set(found(tmp_path)) == {odd, "猫"}


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    make(tmp_path, "owl/1.png", "crow/1.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("crow"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == {"owl": ["owl/1.png"]}
    assert problems(tmp_path) == {"crow": "cannot be read (Permission denied)"}


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "photos", classes=2, pictures=2)
    monkeypatch.setattr(os, "access", lambda path, _: not path.endswith("class01/00.png"))
    (problem,) = list_folder(root).problems
    assert str(problem) == "class01/00.png: cannot be read (Permission denied)"


def test_a_class_in_two_parts_is_told(tmp_path):
    for part, classes in (("train", 3), ("test", 1)):
        write_folder(tmp_path / part, classes, 1)
    write_folder(tmp_path / "test", 2, 1, prefix="other")
    listing = list_folder(tmp_path)
    assert listing.parts is None
    assert len(listing.classes["class00"]) == 2
    (problem,) = listing.problems
    assert str(problem) == (
        "class00: in train and in test; so all parts are put together, and split anew by class"
    )
    assert not problem.left_out


def test_a_class_that_cannot_be_used_for_one_reason_is_one_line():
    bad = [Problem(f"train/owl/{n}.jpg", "empty") for n in range(9)]
    copied = [Problem(f"tit/{n}.jpg", f"the same bytes as jay/{n}.jpg") for n in range(3)]
    some = [Problem("jay/1.jpg", "empty"), Problem("fly/1.jpg", "a"), Problem("fly/2.jpg", "b")]
    of_classes = [Problem(name, UNUSABLE) for name in ("owl", "tit", "fly")]
    assert by_folder([*bad, *copied, *some, *of_classes]) == [
        f"owl: {UNUSABLE} (9 files: empty)",
        f"tit: {UNUSABLE} (3 files: the same bytes as jay/...)",
        *("jay/1.jpg: empty", "fly/1.jpg: a", "fly/2.jpg: b", f"fly: {UNUSABLE}"),
    ]
