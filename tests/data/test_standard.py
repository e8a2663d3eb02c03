"""Standard sets: their splits, the layouts that they are read from, and what is told of others."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from fewstep import InputError
from fewstep.cli import main
from fewstep.config.recipes import RECIPES
from fewstep.config.registry import DATA_SETS
from fewstep.data.preparation import Preparation
from fewstep.data.registry import task_sources
from fewstep.data.standard import SIZES, class_names, load_standard

COUNTS = {"mini-imagenet": (64, 16, 20), "cifar-fs": (64, 16, 20), "fc100": (60, 20, 20)}
COUNTS["cub"] = (100, 50, 50)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWSTEP_CACHE", str(tmp_path / "cache"))


def _names(name):
    return [class_name for names in class_names(name).values() for class_name in names]


def _picture(path, number, size=(6, 4)):
    """The top left corner tells the number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), (number % 251, number // 251, 7), np.uint8)
    Image.fromarray(pixels).save(path)


def _fill(folder, names, of_each=2):
    for c, name in enumerate(names):
        for d in range(of_each):
            _picture(folder / name / f"{d}.png", of_each * c + d)


def _numbers(images, class_name):
    c = images.names.index(class_name)
    rows = range(images.starts[c], images.starts[c] + images.counts[c])
    corners = images.pictures[list(rows), :2, 0, 0].astype(int)
    return (corners[:, 0] + 251 * corners[:, 1]).tolist()


@pytest.mark.parametrize("name", SIZES)
def test_the_splits_are_the_usual_ones(name):
    split = class_names(name)
    assert tuple(map(len, split.values())) == COUNTS[name]
    assert len(set(_names(name))) == sum(COUNTS[name])
    assert name in DATA_SETS


def test_fc100_splits_superclasses():
    split = class_names("fc100")
    assert {"boy", "girl", "man", "woman", "baby"} <= set(split["test"])
    assert {"ray", "trout", "shark"} <= set(split["train"])
    assert set(_names("fc100")) == set(_names("cifar-fs"))


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("mini-imagenet", ""),
        ("mini-imagenet", "images"),
        ("cifar-fs", "data"),
        ("cifar-fs", "train"),
        ("fc100", "cifar100/data"),
        ("cub", "CUB_200_2011/images"),
    ],
)
def test_a_folder_a_class_wherever_it_stands(name, inside, tmp_path, caplog):
    names = _names(name)
    _fill(tmp_path / name / inside, names)
    # Others, and what else stands about, do not count.
    _fill(tmp_path / name / inside, ["n99999999"])
    (tmp_path / name / "images.txt").write_text("1 one\n")
    images = load_standard(name, tmp_path)
    for split, of_split in class_names(name).items():
        assert images[split].names == tuple(of_split)
        for class_name in of_split[:3]:
            c = names.index(class_name)
            assert _numbers(images[split], class_name) == [2 * c, 2 * c + 1]
    size = SIZES[name]
    assert images["train"].pictures.shape[1:] == (3, size, size)
    assert images["test"].preparation == Preparation(size, 3, fit="stretch")
    assert not [r for r in caplog.records if r.name == "fewstep"]


@pytest.fixture
def tables(tmp_path):
    """Three tables beside ``images/``, as mini-ImageNet is handed about."""
    folder, number = tmp_path / "mini-imagenet", 0
    for split, names in class_names("mini-imagenet").items():
        rows = []
        for name in names:
            for d in range(2):
                rows.append((f"{name}{d:08}.png", name))
                _picture(folder / "images" / rows[-1][0], number)
                number += 1
        with (folder / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("filename", "label"), *rows])
    return folder


def test_tables_beside_a_folder_of_pictures(tables, tmp_path, caplog):
    for number, content in (("2", b"x"), ("3", b"")):
        name = class_names("mini-imagenet")["val"][int(number)]
        (tables / "images" / f"{name}00000001.png").write_bytes(content)
    (tables / "images" / "another.txt").write_text("")
    images = load_standard("mini-imagenet", tmp_path)
    names = _names("mini-imagenet")
    for split, of_split in class_names("mini-imagenet").items():
        assert images[split].names == tuple(of_split)
        c = names.index(of_split[1])
        assert _numbers(images[split], of_split[1]) == [2 * c, 2 * c + 1]
    assert images["val"].counts.tolist() == [2, 2, 1, 1, *[2] * 12]
    (told,) = (r.getMessage() for r in caplog.records if r.name == "fewstep")
    assert ": 2 left out, as images/" in told


def test_the_classes_of_a_split_are_those_of_the_paper(tables, tmp_path):
    """Whatever table they stand in."""
    rows = {s: (tables / f"{s}.csv").read_text() for s in ("train", "test")}
    (tables / "train.csv").write_text(rows["test"])
    (tables / "test.csv").write_text(rows["train"])
    images = load_standard("mini-imagenet", tmp_path)
    assert images["train"].names == tuple(class_names("mini-imagenet")["train"])


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda f: (f / "val.csv").unlink(), "has train.csv and no val.csv; put all three tables"),
        (lambda f: (f / "val.csv").write_text("a,b\n1,2\n"), r"val.csv is no table with the colum"),
        (lambda f: (f / "val.csv").write_bytes(b"\xff\xfe"), r"val.csv is no table with the colum"),
        (lambda f: (f / "val.csv").write_text("filename,label\n"), "lacks 16 of the 100 classes o"),
        (lambda f: (f / "val.csv").write_text("filename,label\n../../x\n"), "lacks 16 of the 100"),
        (lambda f: shutil.rmtree(f / "images"), "lacks 100 of the 100 classes"),
    ],
)
def test_damaged_tables(break_it, told, tables, tmp_path):
    break_it(tables)
    with pytest.raises(InputError, match=told) as caught:
        load_standard("mini-imagenet", tmp_path)
    assert "\n" not in str(caught.value)


def test_classes_that_are_missing(tmp_path):
    names = _names("cifar-fs")
    _fill(tmp_path / "cifar-fs", names[2:])
    told = f"cifar-fs lacks 2 of the 100 classes of the split: {names[0]}, {names[1]}; expected"
    with pytest.raises(InputError, match=told):
        load_standard("cifar-fs", tmp_path)
    for name in names[:2]:
        (tmp_path / "cifar-fs" / name).mkdir()
        (tmp_path / "cifar-fs" / name / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=told):
        load_standard("cifar-fs", tmp_path)


def test_a_folder_that_is_missing_says_what_to_put_where(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("FEWSTEP_DATA", raising=False)
    run = ["--run-dir", str(tmp_path / "run")]
    for name in SIZES:
        with pytest.raises(InputError, match=f"/{name} is not there; put a folder a class"):
            load_standard(name, tmp_path)
    assert main(["train", "mini-imagenet-5way-1shot", *run]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "no data folder is given; name one that holds mini-imagenet/ by --data-dir or" in told
    assert "(as n01532829/), or train.csv, val.csv and test.csv beside images/, there" in told
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="no standard set is named 'imagenet'; choose one of mini"):
        load_standard("imagenet", tmp_path)


def test_the_recipe_has_the_protocol_of_the_paper(tmp_path):
    _fill(tmp_path / "mini-imagenet", _names("mini-imagenet"), 17)
    for k_shot, meta_batch in ((1, 4), (5, 2)):
        config = RECIPES[f"mini-imagenet-5way-{k_shot}shot"].config
        told = (config.filters, config.downsample, config.inner_steps, config.inner_lr)
        assert told == (32, "max-pool", 5, 0.01)
        assert (config.q_query, config.meta_batch, config.test_inner_steps) == (15, meta_batch, 10)
        assert RECIPES[f"cifar-fs-5way-{k_shot}shot"].config.data == "cifar-fs"
    config = RECIPES["mini-imagenet-5way-1shot"].config
    tasks = task_sources(type(config)(**{**vars(config), "data_dir": str(tmp_path)}))["test"]
    # One query picture of each class in a test of one shot.
    assert tasks.batch([0]).query_x.shape == (1, 5, 3, 84, 84)
