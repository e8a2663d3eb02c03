"""`fewstep adapt`: classes of one's own from a few pictures, and what is told of them."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

import fewstep
from fewstep.cli import main
from tests.cli.own_pictures import drawing, write_classes
from tests.cli.shared import refused


@pytest.fixture(scope="module")
def run(glyph_runs):
    return str(glyph_runs / "maml")


@pytest.fixture
def mine(tmp_path):
    return write_classes(tmp_path / "mine", 2)


def adapt_json(arguments, capsys):
    capsys.readouterr()
    assert main(["adapt", *map(str, arguments), "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out, parse_constant=pytest.fail), err


def test_json_holds_predictions_and_rivals(run, own, capsys):
    told, err = adapt_json([run, "--support", own / "support", "--query", own / "query"], capsys)
    assert err == ""
    assert told["classes"] == ["bar", "cross", "ladder"]
    assert len(told["predictions"]) == 6
    first = told["predictions"][0]
    assert first["file"] == str(own / "query" / "bar" / "10.png")
    assert first["label"] in told["classes"]
    assert 1 / 3 <= first["probability"] <= 1
    right = sum(one["label"] == one["class"] for one in told["predictions"])
    assert told["accuracy"] == pytest.approx(right / 6, abs=1e-5)
    assert set(told["rivals"]) == {"nearest_mean_features", "nearest_mean_pixels", "fine_tuning"}
    assert all(0 <= share <= 1 for share in told["rivals"].values())
    assert (told["norm"], told["shots"], told["steps"]) == ("inductive", [2, 2, 2], 3)


def test_text_tells_classes_accuracy_and_protocol(run, own, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    given = ["adapt", run, "--support", str(own / "support"), "--query", str(own / "query")]
    assert main(given) == 0
    out = capsys.readouterr().out
    assert "learned 3 classes from 6 pictures: bar 2, cross 2, ladder 2" in out
    assert "trained in tasks of 5 classes" in out
    assert "file           label" in out
    assert "\nbar/10.png     " in out
    assert "of 6 query pictures (95% interval " in out
    assert "nearest class mean of pixels" in out
    assert "3-way, 2-shot; 3 inner steps; inductive batch norm; one model, " in out
    assert "maml, seed 0" in out


def test_narrow_terminals_lose_nothing(run, own, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    given = ["adapt", run, "--support", str(own / "support"), "--query", str(own / "query")]
    assert main(given) == 0
    rows = capsys.readouterr().out.splitlines()
    label = rows[rows.index("ladder/11.png") + 1]
    assert label.startswith("  ")
    assert label.split()[1].endswith("%")


def test_as_many_classes_as_the_run_has(run, tmp_path, capsys):
    five = write_classes(tmp_path / "five", {"bar": 1, "cross": 2, "ladder": 3})
    for number, name in enumerate(("dots/small", "dots/large")):
        (five / name).mkdir(parents=True)
        drawing("bar", 7, ink=255, paper=0).rotate(40 * number).save(five / name / "1.png")
    told, _ = adapt_json([run, "--support", five, "--steps", 2], capsys)
    assert told["classes"] == ["bar", "cross", "dots/large", "dots/small", "ladder"]
    assert (told["steps"], told["note"], told["shots"]) == (2, "", [1, 2, 1, 1, 3])
    assert told["accuracy"] is told["leave_one_out"] is None
    assert "single picture" in told["notes"][0]
    assert main(["adapt", str(run), "--support", str(five)]) == 0
    told = "give two or more pictures of each class, or --query with one subfolder for each class"
    assert told in capsys.readouterr().out


def test_without_query_each_picture_is_left_out(run, own, capsys):
    told, _ = adapt_json([run, "--support", own / "support"], capsys)
    assert told["accuracy"] is None
    assert told["examples"] == 6
    assert 0 <= told["leave_one_out"] <= 1
    assert main(["adapt", run, "--support", str(own / "support")]) == 0
    assert "of 6 support pictures, each left out in turn" in capsys.readouterr().out


def test_query_pictures_without_classes(run, own, tmp_path, capsys):
    flat = tmp_path / "flat"
    flat.mkdir()
    drawing("bar", 3).save(flat / "new.png")
    told, _ = adapt_json([run, "--support", own / "support", "--query", flat], capsys)
    assert [one["file"] for one in told["predictions"]] == [str(flat / "new.png")]
    assert "class" not in told["predictions"][0]
    assert told["accuracy"] is None


def test_a_query_picture_that_is_a_support_picture(run, own, mine, capsys):
    _, err = adapt_json([run, "--support", mine, "--query", mine], capsys)
    assert "6 query pictures are support pictures, too" in err
    shutil.copy(own / "query" / "bar" / "10.png", mine / "bar" / "again.png")
    _, err = adapt_json([run, "--support", mine, "--query", own / "query"], capsys)
    assert f"a query picture is a support picture, too ({own / 'query' / 'bar' / '10.png'}" in err


@pytest.mark.parametrize("algorithm", ["fomaml", "finetune"])
def test_runs_of_other_algorithms(algorithm, glyph_runs, own, capsys):
    run = glyph_runs / algorithm
    told, _ = adapt_json([run, "--support", own / "support", "--query", own / "query"], capsys)
    assert told["algorithm"] == algorithm
    assert len(told["predictions"]) == 6


def test_dark_on_light_is_as_light_on_dark(run, own, tmp_path, capsys):
    """Also on grey paper: the run was trained on ink of 255 on 0."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for ink, paper in ((255, 0), (0, 255), (60, 190), (200, 90)):
        drawing("cross", 4, ink, paper).save(flat / f"{ink}.png")
    told, _ = adapt_json([run, "--support", own / "support", "--query", flat], capsys)
    found = [one["probability"] for one in told["predictions"]]
    assert found == pytest.approx([found[0]] * 4, abs=0.05)


def test_colour_becomes_what_the_network_takes(run, own, tmp_path, capsys):
    flat = tmp_path / "flat"
    flat.mkdir()
    drawing("cross", 4).save(flat / "grey.png")
    drawing("cross", 4).convert("RGB").save(flat / "rgb.png")
    drawing("cross", 4).convert("CMYK").save(flat / "cmyk.tif")
    told, _ = adapt_json([run, "--support", own / "support", "--query", flat], capsys)
    found = {one["probability"] for one in told["predictions"]}
    assert len(told["predictions"]) == 3
    assert max(found) - min(found) < 0.01


def test_the_saved_model_predicts_the_same(adapted, run, own, capsys):
    told, _ = adapt_json([run, "--support", own / "support", "--query", own / "query"], capsys)
    model = fewstep.load(adapted)
    assert model.classes == ("bar", "cross", "ladder")
    files = [one["file"] for one in told["predictions"]]
    best = model.predict_proba(files).max(1)
    assert best == pytest.approx([one["probability"] for one in told["predictions"]], abs=1e-5)
    with Image.open(adapted / "adapted.png") as picture:
        assert picture.width > picture.height > 200


def test_an_adapted_model_learns_further_classes(adapted, own, tmp_path, capsys):
    more = tmp_path / "more"
    (more / "blank").mkdir(parents=True)
    Image.new("L", (30, 30), 255).save(more / "blank" / "1.png")
    out = shutil.copytree(adapted, tmp_path / "model")
    given = [out, "--add", "--support", more, "--query", own / "query", "--out", out]
    told, _ = adapt_json(given, capsys)
    assert told["classes"] == ["bar", "blank", "cross", "ladder"]
    assert told["shots"] == [2, 1, 2, 2]
    assert fewstep.load(out).classes == ("bar", "blank", "cross", "ladder")
    assert (out / "adapted.png").exists()


def test_broken_support_pictures_are_named(run, mine, capsys):
    (mine / "bar" / "broken.png").write_bytes(b"no picture")
    (mine / "cross" / "empty.png").touch()
    (mine / "notes.txt").write_text("what this is")
    told, err = adapt_json([run, "--support", mine], capsys)
    assert told["shots"] == [2, 2, 2]
    assert f"left out: {mine / 'bar' / 'broken.png'}: " in err
    assert f"left out: {mine / 'cross' / 'empty.png'}: empty" in err


def bad_folders(folder):
    """Support folders that cannot be learned from, and what is told of each."""
    yield folder / "missing", "No such file or directory"
    empty = folder / "empty"
    empty.mkdir()
    yield empty, "holds no pictures"
    file = folder / "file"
    file.touch()
    yield file, "is a file; expected a folder"
    one = write_classes(folder / "one", 2, kinds=["bar"])
    yield one, "holds one class, 'bar'; expected two or more"
    flat = write_classes(folder / "flat", 2) / "bar"
    yield flat, "holds pictures and no folders of classes"
    mixed = write_classes(folder / "mixed", 1)
    drawing("bar").save(mixed / "stray.png")
    yield mixed, "beside folders"
    broken = write_classes(folder / "broken", 1)
    (broken / "bar" / "0.png").write_bytes(b"no picture")
    yield broken, "no picture of class 'bar'"
    outside = write_classes(folder / "outside", 1)
    (outside / "bar" / "0.png").unlink()
    (outside / "bar" / "0.png").symlink_to(folder / "mixed" / "stray.png")
    (outside / "cross" / "0.png").unlink()
    yield outside, "holds one class, 'ladder'"
    circle = folder / "circle"
    circle.mkdir()
    (circle / "bar").symlink_to(circle)
    (circle / "round.png").symlink_to(circle / "round.png")
    yield circle, "holds no pictures"
    bomb = write_classes(folder / "bomb", 1)
    Image.new("1", (20_000, 20_000)).save(bomb / "bar" / "0.png")
    yield bomb, "no picture of class 'bar'"


def test_support_folders_of_no_use(run, tmp_path, capsys):
    out = tmp_path / "out"
    for folder, expected in bad_folders(tmp_path):
        told = refused(["adapt", run, "--support", str(folder), "--out", str(out)], capsys)
        assert expected in told
        assert str(folder) in told
    assert not out.exists()


def test_a_folder_that_may_not_be_read(run, mine, capsys, monkeypatch):
    real = os.scandir

    def scandir(path):
        # Root, who may run the tests, may read everything.
        if os.path.basename(path) == "bar":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "bar" in refused(["adapt", run, "--support", str(mine)], capsys)


def test_a_run_that_may_not_be_read(run, mine, capsys, monkeypatch):
    real = Path.is_file

    def is_file(path):
        if path.name == "adapted.json":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    told = refused(["adapt", run, "--support", str(mine)], capsys)
    assert f"cannot read {run} (Permission denied); see that it is there and may be read" in told


def test_a_query_class_that_the_support_lacks(run, own, mine, capsys):
    (mine / "cross").rename(mine / "owl")
    told = refused(["adapt", run, "--support", str(own / "support"), "--query", str(mine)], capsys)
    assert "has pictures of 'owl', which the support folder lacks" in told


def test_runs_that_take_no_pictures(run_dir, own, tmp_path, capsys):
    support = ["--support", str(own / "support")]
    assert "regression run on sinusoid" in refused(["adapt", str(run_dir), *support], capsys)
    assert "expected a run directory" in refused(["adapt", str(tmp_path), *support], capsys)
    (tmp_path / "config.json").write_text('{"made_by": "fewstep.fit"}')
    told = refused(["adapt", str(tmp_path), *support], capsys)
    assert "made by fewstep.fit with a network of your own" in told
    assert "FewShotClassifier" in told


def test_add_is_for_adapted_models_alone(run, adapted, own, capsys):
    support = ["--support", str(own / "support")]
    assert "teach it more with --add" in refused(["adapt", str(adapted), *support], capsys)
    assert "leave --add out" in refused(["adapt", run, "--add", *support], capsys)
    given = ["adapt", str(adapted), "--add", *support, "--device", "cuda"]
    assert "leave --device out" in refused(given, capsys)


def test_places_where_nothing_is_saved(run, own, tmp_path, capsys):
    given = ["adapt", run, "--support", str(own / "support"), "--query", str(own / "query")]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    expected = {
        foreign: "holds 'letter.txt' and would be replaced",
        foreign / "letter.txt": "it is no folder",
        f"{run}/model": "is inside the run folder",
        own / "support" / "model": "is inside the support folder",
        own / "query": "is inside the query folder",
    }
    for place, told in expected.items():
        assert told in refused([*given, "--out", str(place)], capsys)
    assert [path.name for path in foreign.iterdir()] == ["letter.txt"]
    assert not os.path.exists(f"{run}/model")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device without space")
def test_a_full_disk_leaves_nothing(run, own, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pathlib.Path.write_bytes", _no_space)
    given = ["adapt", run, "--support", str(own / "support"), "--out", str(tmp_path / "out")]
    assert "no disk space left" in refused(given, capsys)
    assert list(tmp_path.iterdir()) == []


def _no_space(path, content):
    with open("/dev/full", "wb") as full:
        full.write(content)


@pytest.mark.parametrize("name", ["-h", "--help"])
def test_the_help_tells_what_to_give(name, capsys):
    with pytest.raises(SystemExit):
        main(["adapt", name])
    out = capsys.readouterr().out
    assert "a folder a class" in out
    assert "--support DIR" in out


def test_one_picture_in_two_classes_is_told(run, mine, capsys):
    first, *_ = sorted((mine / "bar").iterdir())
    shutil.copy(first, mine / "cross" / "zz.png")
    shutil.copy(first, mine / "bar" / "zz.png")
    _, err = adapt_json([run, "--support", mine], capsys)
    assert f"{mine / 'cross' / 'zz.png'}: the same bytes as {first}: one of them is in a w" in err
    assert f"{mine / 'bar' / 'zz.png'}: the same bytes as {first}: it counts twice" in err
