"""A folder of pictures as a source: what is read, left out, split, cached and told."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewstep import InputError
from fewstep.data import ImageFolder, Preparation, folder_cache, folder_kind, folder_reading
from fewstep.data.folder_reading import Reading
from tests.data.pictures import drawing, encoded, noise, write_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "folders"


@pytest.fixture
def photos(tmp_path):
    return write_folder(tmp_path / "photos", classes=12, pictures=5)


def not_read(*_):
    pytest.fail("the pictures are read again")


def test_a_folder_as_it_is_described(photos):
    images = ImageFolder(photos, size=12)
    assert repr(images) == "<12 classes, 60 pictures, RGB 12x12>"
    assert images.classes[:2] == ("class00", "class01")
    assert images.counts["class11"] == 5
    assert images.preparation == Preparation(12, 3)
    assert not images.problems
    how = Preparation(12, 3)
    for number, name in enumerate(images.classes):
        expected = [how(path) for path in sorted((photos / name).iterdir())]
        assert (images.images.of(number) == expected).all()


def test_a_split_shares_no_class(photos):
    images = ImageFolder(photos, size=12)
    parts = images.split(8, 2, 2, seed=0)
    assert [repr(part) for part in parts] == [
        "<8 classes, 40 pictures, RGB 12x12>",
        *["<2 classes, 10 pictures, RGB 12x12>"] * 2,
    ]
    assert sorted(sum((part.classes for part in parts), ())) == list(images.classes)
    assert [part.part for part in parts] == ["train", "val", "test"]
    assert [part.classes for part in images.split(0.6, 0.2, 0.2, seed=0)] == [
        part.classes for part in parts
    ]
    assert images.split(8, 2, 2, seed=1)[0].classes != parts[0].classes
    # A picture is still that of its class.
    for part in parts:
        for number, name in enumerate(part.classes):
            whole = images.classes.index(name)
            assert (part.images.of(number) == images.images.of(whole)).all()
    with pytest.raises(InputError, match="expected three parts"):
        images.split(8, 4)


def test_tasks_of_a_folder(photos):
    train, *_ = ImageFolder(photos, size=12).split(8, 2, 2, seed=0)
    tasks = train.tasks(n_way=5, k_shot=1, q_query=4, seed=3)
    batch = tasks.batch(range(2))
    assert batch.support_x.shape == (2, 5, 3, 12, 12)
    assert tasks.preparation == Preparation(12, 3)
    assert batch.support_x.sum() != train.tasks(5, 1, 4, seed=4).batch(range(2)).support_x.sum()
    with pytest.raises(InputError, match="n_way is 9, but the train split has 8 classes"):
        train.tasks(9, 1, 1)
    with pytest.raises(InputError, match=r"k_shot 3 \+ q_query 3 = 6 .*'class\d+' has 5; choose a"):
        train.tasks(2, 3, 3)


def test_a_split_of_the_file_reads_nothing(photos):
    images = ImageFolder(photos, size=12)
    whole = images.images.pictures
    assert isinstance(whole, np.memmap)
    for part in images.split():
        assert part.images.pictures is whole
        tasks = part.tasks(n_way=2, k_shot=1, q_query=1)
        assert sum(len(piece) for piece in tasks.content()) < 1000


def test_the_content_tells_what_changed(photos):
    def content(**how):
        tasks = ImageFolder(photos, size=12, **how).split()[0].tasks(n_way=2, k_shot=1, q_query=1)
        return b"".join(tasks.content())

    before = content()
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    assert content() == before
    assert content(channels=1) != before
    for path in photos.rglob("04.png"):
        noise(77).save(path)
    assert content() != before


def test_the_cache_is_used_for_the_same_files_alone(photos, cache, monkeypatch):
    first = ImageFolder(photos, size=12)
    with monkeypatch.context() as patch:
        patch.setattr(Reading, "read", not_read)
        again = ImageFolder(photos, size=12)
        assert (again.images.pictures == first.images.pictures).all()
        assert again.counts == first.counts
        with pytest.raises(pytest.fail.Exception, match="read again"):
            ImageFolder(photos, size=13)
    assert len(list(cache.iterdir())) == 1
    noise(99).save(photos / "class03" / "04.png")
    changed = ImageFolder(photos, size=12)
    assert (changed.images.pictures != first.images.pictures).sum() > 0
    (photos / "class03" / "04.png").unlink()
    assert ImageFolder(photos, size=12).counts["class03"] == 4
    shutil.rmtree(photos / "class03")
    assert "class03" not in ImageFolder(photos, size=12).classes
    # Those of the folder as it was are gone, those of another size are not.
    assert len(list(cache.iterdir())) == 1
    ImageFolder(photos, size=13)
    assert len(list(cache.iterdir())) == 2
    # The first still has what it was made of.
    assert first.images.of(3).shape == (5, 3, 12, 12)


@pytest.mark.parametrize("damage", [b"", b"x" * 5000, "cut", "longer"])
def test_a_damaged_cache_is_made_again(damage, photos, cache, caplog):
    whole = np.array(ImageFolder(photos, size=12).images.pictures)
    (path,) = cache.iterdir()
    content = path.read_bytes()
    made = {"cut": content[:-100], "longer": b"x" + content}.get(damage, damage)
    path.write_bytes(made)
    caplog.set_level("INFO", "fewstep")
    assert (ImageFolder(photos, size=12).images.pictures == whole).all()
    (record,) = caplog.records
    assert "is damaged (" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert path.read_bytes() == content


def test_what_is_not_as_it_should_be_is_listed(tmp_path):
    root = write_folder(tmp_path / "photos", classes=2, pictures=3)
    (root / "class00" / "bad.jpg").write_bytes(b"no picture")
    (root / "class00" / "cut.png").write_bytes(encoded(noise(5, size=(90, 90)))[:3000])
    (root / "class00" / "none.png").write_bytes(b"")
    (root / "class00" / "named.png").write_bytes(encoded(noise(6), "JPEG"))
    (root / "class00" / "suffixless").write_bytes(encoded(noise(7), "GIF"))
    (root / "class01" / "again.png").write_bytes((root / "class00" / "01.png").read_bytes())
    (root / "only_bad").mkdir()
    (root / "only_bad" / "notes.txt").write_text("text")
    images = ImageFolder(root, size=12)
    assert images.counts == {"class00": 5, "class01": 3}
    told = {path: (reason, left_out) for path, reason, left_out in images.problems}
    assert told.pop("class00/cut.png")[0].startswith("image file is truncated")
    assert told == {
        "class00/bad.jpg": ("no picture of a known format", True),
        "class00/none.png": ("empty", True),
        "class00/named.png": ("is JPEG, whatever its name says; it is read all the same", False),
        "class00/suffixless": ("is GIF, whatever its name says; it is read all the same", False),
        "class01/again.png": ("the same bytes as class00/01.png", True),
        "only_bad": ("a class without a picture that can be used", True),
        "only_bad/notes.txt": ("no picture of a known format", True),
    }
    # Every row is still a picture of its class, in the order of the files.
    how = Preparation(12, 3)
    names = ["00.png", "01.png", "02.png", "named.png", "suffixless"]
    assert (images.images.of(0) == [how(root / "class00" / name) for name in names]).all()
    assert (images.images.of(1)[0] == how(root / "class01" / "00.png")).all()
    # From the cache they are told, too.
    assert ImageFolder(root, size=12).problems == images.problems


def test_a_folder_without_a_readable_picture(tmp_path, cache):
    (tmp_path / "photos" / "owl").mkdir(parents=True)
    (tmp_path / "photos" / "owl" / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"holds no picture that can be read \(owl/a.png: no pict"):
        ImageFolder(tmp_path / "photos", size=12)
    assert not list(cache.iterdir())
    with pytest.raises(InputError, match=r"expected a folder of pictures a class$"):
        ImageFolder(tmp_path / "photos", size=12)


def test_a_folder_is_grey_only_where_all_are(tmp_path, monkeypatch):
    root = write_folder(tmp_path / "photos", classes=2, mode="L")
    Image.new("RGB", (20, 20), "grey").save(root / "class01" / "rgb.png")
    images = ImageFolder(root, size=12)
    assert repr(images) == "<2 classes, 9 pictures, grey 12x12>"
    assert ImageFolder(root, size=12, channels=3).images.pictures.shape[1] == 3
    # One that was not looked at first.
    monkeypatch.setattr(folder_kind, "SAMPLE", 1)
    noise(8).save(root / "class01" / "zzz.png")
    assert repr(ImageFolder(root, size=12)) == "<2 classes, 10 pictures, RGB 12x12>"
    grey = ImageFolder(root, size=12, channels=1)
    assert (grey.images.of(1)[-1] == Preparation(12, 1)(root / "class01" / "zzz.png")).all()


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (250, 60), (0, 255)])
def test_drawings_are_taken_as_ink(paper, ink, tmp_path):
    for number in range(6):
        path = tmp_path / "photos" / f"letter{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing(number, paper, ink).save(path)
    images = ImageFolder(tmp_path / "photos", size=28)
    assert images.preparation == Preparation(28, 1, ink=True)
    assert images.images.pictures.mean() < 100
    plain = ImageFolder(tmp_path / "photos", size=28, ink=False)
    assert plain.preparation == Preparation(28, 1)


def test_grey_photographs_are_no_drawings(tmp_path):
    root = write_folder(tmp_path / "photos", mode="L")
    assert ImageFolder(root, size=12).preparation == Preparation(12, 1)


def test_parts_of_the_folder_are_its_split(tmp_path):
    for part, classes in (("train", 6), ("val", 2), ("test", 3)):
        write_folder(tmp_path / "photos" / part, classes, prefix=part)
    images = ImageFolder(tmp_path / "photos", size=12)
    assert [part.classes for part in images.split()] == [
        tuple(f"train{number:02}" for number in range(6)),
        ("val00", "val01"),
        ("test00", "test01", "test02"),
    ]
    assert len(images.split(5, 3, 3)[0]) == 5
    shutil.rmtree(tmp_path / "photos" / "val")
    train, val, test = ImageFolder(tmp_path / "photos", size=12).split()
    assert (len(train), len(val), len(test)) == (4, 2, 3)
    assert all(name.startswith("train") for name in train.classes + val.classes)


def test_classes_by_name(photos):
    images = ImageFolder(photos, size=12)
    named = {"train": ["class05", "class01"], "val": ["class02"], "test": []}
    assert [part.classes for part in images.split_by_name(named)] == [
        ("class05", "class01"),
        ("class02",),
        (),
    ]
    with pytest.raises(InputError, match="photos lacks 1 of the classes of the split: owl; put"):
        images.split_by_name({**named, "test": ["owl"]})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": 0}, "size is 0; expected 1 to 1024"),
        ({"size": 12.0}, "size is 12.0"),
        ({"size": 2000}, "size is 2000"),
        ({"channels": 2}, "channels is 2; expected 1"),
        ({"fit": "pad"}, "fit is 'pad'; expected crop or stretch"),
    ],
)
def test_settings_that_cannot_be(settings, told, photos):
    with pytest.raises(InputError, match=told):
        ImageFolder(photos, **settings)


def test_a_cache_that_cannot_be_written(photos, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot write .*; the variable FEWSTEP_CACHE names"):
        ImageFolder(photos, size=12)


def test_a_full_disk_leaves_nothing(photos, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fewstep.data.folder.compact", full)
    with pytest.raises(InputError, match=r"no disk space left for .*FEWSTEP_CACHE"):
        ImageFolder(photos, size=12)
    assert not list(cache.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_disk_that_fills_up_in_a_worker(photos, cache, monkeypatch):
    monkeypatch.setattr(folder_reading, "FEW", 1)
    read = Reading.read

    def elsewhere(self, first):
        return read(Reading(Path("/dev/full"), *list(vars(self).values())[1:]), first)

    monkeypatch.setattr(Reading, "read", elsewhere)
    with pytest.raises(InputError, match="no disk space left for"):
        ImageFolder(photos, size=12)
    assert not list(cache.iterdir())


def test_a_cache_of_other_json_is_made_again(photos, cache, caplog):
    whole = np.array(ImageFolder(photos, size=12).images.pictures)
    (path,) = cache.iterdir()
    for told in (b"[]", b'"x"', b"3", b"null", b"{}"):
        path.write_bytes(told + len(told).to_bytes(8, "little") + b"fewstep\n")
        assert (ImageFolder(photos, size=12).images.pictures == whole).all()


def test_the_cache_is_removed_by_another_process(photos, cache, monkeypatch):
    write = folder_cache.write_whole

    def then_removed(path, fill):
        write(path, fill)
        path.unlink()
        monkeypatch.setattr(folder_cache, "write_whole", write)

    monkeypatch.setattr(folder_cache, "write_whole", then_removed)
    assert len(ImageFolder(photos, size=12)) == len(list(photos.iterdir()))


def test_what_a_kill_left_in_the_cache_is_removed(photos, cache):
    ImageFolder(photos, size=12)
    (path,) = cache.iterdir()
    path.rename(path.with_name(f".{path.name}.12ab34cd.part"))
    # Of the folder as it was.
    (photos / "class03" / "04.png").unlink()
    ImageFolder(photos, size=12)
    assert [left.suffix for left in cache.iterdir()] == [".pictures"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_what_could_not_be_read_once_is_tried_again(error, photos, monkeypatch):
    whole = ImageFolder(photos, size=12).counts
    (photos / "class03" / "new.png").write_bytes(encoded(noise(5)))
    content = folder_reading._content

    def failing(path, file):
        if path.endswith("new.png"):
            raise error
        return content(path, file)

    with monkeypatch.context() as patch:
        patch.setattr(folder_reading, "_content", failing)
        first = ImageFolder(photos, size=12)
        assert first.counts == whole
        assert [problem.path for problem in first.problems] == ["class03/new.png"]
    assert ImageFolder(photos, size=12).counts == whole | {"class03": whole["class03"] + 1}


def test_folders_in_folders_without_end(tmp_path):
    root = write_folder(tmp_path / "photos")
    above, depth = root / "class00", 0
    with contextlib.chdir(above):
        while depth < 1200:
            os.mkdir("d")
            os.chdir("d")
            depth += 1
    try:
        images = ImageFolder(root, size=12)
    finally:
        # pytest, which removes folders of earlier runs, does not come so deep.
        for deep in range(depth, 0, -1):
            os.rmdir(above / ("d/" * deep))
    assert len(images) == 3
    assert any("too deep" in problem.reason for problem in images.problems)
