"""`fewstep train FOLDER`: what it says, what a run keeps, and how it goes on."""

import json
import shutil
from contextlib import redirect_stderr
from io import StringIO

import pytest

from fewstep import InputError
from fewstep.cli import main
from tests.cli.shared import refused
from tests.data.pictures import drawing, encoded, noise, write_folder

BRIEF = [
    *("--image-size", "16", "--steps", "2", "--val-every", "1", "--val-tasks", "2"),
    *("--test-tasks", "2", "--meta-batch", "2", "--filters", "4", "--test-inner-steps", "1"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run on it and what was told, in a working directory of their own."""
    here = tmp_path_factory.mktemp("folder")
    write_folder(here / "photos", classes=12, pictures=4)
    (here / "photos" / "class03" / "bad.jpg").write_bytes(b"no picture")
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(StringIO()) as told:
        patch.chdir(here)
        assert main(["train", "photos/", *BRIEF]) == 0
    (here / "told.txt").write_text(told.getvalue())
    return here


@pytest.fixture
def told_first(monkeypatch, capsys):
    """The lines before training, which is left out."""

    def stop(config, *_):
        raise InputError(f"q_query {config.q_query}")

    def lines(*words):
        monkeypatch.setattr("fewstep.cli.one_run.trained", stop)
        capsys.readouterr()
        assert main(["train", *words, *BRIEF]) == 2
        return capsys.readouterr().err.splitlines()

    return lines


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A copy to change."""
    for name in ("photos", "runs"):
        shutil.copytree(trained / name, tmp_path / name)
    config = tmp_path / "runs" / "photos" / "config.json"
    moved = config.read_text().replace(str(trained / "photos"), str(tmp_path / "photos"))
    config.write_text(moved)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_on_a_folder_keeps_its_split(trained):
    run = trained / "runs" / "photos"
    split = json.loads((run / "split.json").read_text())
    assert {part: len(names) for part, names in split.items()} == {"train": 8, "val": 2, "test": 2}
    assert len({*split["train"], *split["val"], *split["test"]}) == 12
    assert (run / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((run / "config.json").read_text())
    assert config["folder"] == str(trained / "photos")
    assert (config["n_way"], config["q_query"], config["norm"]) == (2, 3, "inductive")
    assert json.loads((run / "data.json").read_text())["preparation"]["channels"] == 3


def test_what_is_said_before_training(trained):
    lines = (trained / "told.txt").read_text().splitlines()
    assert f"{trained}/photos: 12 classes, 48 pictures, RGB 16x16; 4 of each class" in lines
    place = lines.index("left out: 1; these are not as they should be:")
    assert lines[place + 1] == "  class03/bad.jpg: no picture of a known format"
    told = "12 classes: 8 train, 2 validation, 2 test; so at most 2-way, and tasks are 2-way 1-shot"
    assert told in lines
    assert any(line.startswith("for more ways: --n-way 4 with fewer") for line in lines)
    assert lines.index("contact sheet: runs/photos/contact_sheet.png") > lines.index(told)


def test_more_ways_than_the_usual_split_has(here, told_first, capsys):
    told = refused(["train", "photos", *BRIEF, "--n-way", "5", "--run-dir", "more"], capsys)
    assert "n_way is 5, but the val split has 2 classes" in told
    assert not (here / "more").exists()
    told = "12 classes: 4 train, 4 validation, 4 test; so at most 4-way, and tasks are 4-way 1-shot"
    assert told in told_first("photos", "--n-way", "4", "--run-dir", "new")


def test_more_classes_are_asked_for_where_too_few(tmp_path, told_first):
    write_folder(tmp_path / "enough", classes=15, pictures=4)
    write_folder(tmp_path / "few", classes=7, pictures=4)
    needless = "; adapting to any number of classes needs none of it"
    for name, ways in (
        ("enough", "--n-way 5 with fewer classes to train on"),
        ("few", "15 classes for 5-way"),
    ):
        told = told_first(str(tmp_path / name), "--run-dir", str(tmp_path / f"run-{name}"))
        assert f"for more ways: {ways}{needless}" in told


def test_a_run_goes_on_with_its_own_split(here, capsys):
    before = json.loads((here / "runs" / "photos" / "split.json").read_text())
    write_folder(here / "photos", classes=9, pictures=5, prefix="added")
    assert main(["train", "photos/", *BRIEF, "--steps", "3"]) == 0
    assert json.loads((here / "runs" / "photos" / "split.json").read_text()) == before
    err = capsys.readouterr().err
    assert "data changed" not in err
    assert "12 classes: 8 train" in err


def test_the_same_command_again_says_it_is_finished(here, capsys):
    assert main(["train", "photos/", *BRIEF]) == 0
    assert "finished after 2 outer steps" in capsys.readouterr().err


def test_what_no_flag_says_is_as_in_the_run(here, capsys):
    assert main(["train", "photos/"]) == 0
    assert "finished after 2 outer steps" in capsys.readouterr().err


def test_grey_pictures_stay_grey_beside_a_new_class(here, capsys):
    shutil.rmtree(here / "runs")
    shutil.rmtree(here / "photos")
    write_folder(here / "photos", classes=6, pictures=3, mode="L")
    assert main(["train", "photos/", *BRIEF]) == 0
    noise(1).save(here / "photos" / "class00" / "colour.png")
    assert main(["evaluate", "runs/photos", "--tasks", "2"]) == 0
    assert "2 test tasks of photos, 2-way 1-shot 2-query" in capsys.readouterr().out


def test_a_folder_that_lacks_a_class_of_the_run(here, capsys):
    shutil.rmtree(here / "photos" / "class07")
    for command in (["train", "photos/", *BRIEF, "--steps", "3"], ["evaluate", "runs/photos"]):
        told = refused(command, capsys)
        assert "photos lacks 1 of the classes of the split: class07; put them back" in told


def test_a_folder_that_moved(here, capsys):
    evaluate = ["evaluate", "runs/photos", "--tasks", "2", "--json"]
    assert main(evaluate) == 0
    before = json.loads(capsys.readouterr().out)["accuracy"]
    (here / "photos").rename(here / "there")
    told = refused(evaluate, capsys)
    assert "was trained on the folder" in told
    assert "which is not there any more; give its new place with --data-dir" in told
    assert main([*evaluate, "--data-dir", "there"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == before
    compare = ["compare", "runs/photos", "--tasks", "2", "--inner-steps", "1"]
    assert main([*compare, "--data-dir", "there"]) == 0
    again = ["train", "there", *BRIEF, "--run-dir", "runs/photos"]
    assert main(again) == 0
    noise(1).save(here / "there" / "class00" / "more.png")
    (here / "there").rename(here / "elsewhere")
    told = refused([word.replace("there", "elsewhere") for word in again], capsys)
    assert "runs/photos holds a run of " in told
    assert "elsewhere is other data; choose another --run-dir" in told


def test_runs_of_other_classes_do_not_compare(here, capsys):
    shutil.copytree(here / "runs" / "photos", here / "swapped")
    split = json.loads((here / "swapped" / "split.json").read_text())
    split["test"], split["val"] = split["val"], split["test"]
    (here / "swapped" / "split.json").write_text(json.dumps(split))
    told = refused(["compare", "runs/photos", "swapped"], capsys)
    assert "swapped and photos have other test classes; expected runs" in told


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("{", "split.json is not JSON"),
        ("[]", "split.json holds no JSON object"),
        ('{"train": ["class00"]}', "does not tell the classes of each split"),
        ('{"train": "ab", "val": [], "test": []}', "does not tell the classes of each split"),
    ],
)
def test_a_damaged_split(damage, told, here, capsys):
    (here / "runs" / "photos" / "split.json").write_text(damage)
    assert told in refused(["evaluate", "runs/photos"], capsys)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["none/"], "none/ is not there; expected a folder with a folder of pictures a class"),
        (["photos/class00/00.png"], "is a file; expected a folder"),
        (["photos/class00"], "holds no folder with pictures (00.png: stands in no folder of a cl"),
        (["photos", "--run-dir", "photos/run"], "is inside the folder of pictures"),
        (["photos", "--image-size", "0"], "image_size is 0; expected 1 or more"),
        (["photos", "--data", "glyphs"], "data is glyphs and the folder of pictures"),
        (["glyphs-5way-1shot", "--data", "folder"], "the folder of pictures not given; a folder"),
        (["glyphs-5way-1shot", "--image-size", "28"], "image_size is 28 with data glyphs, which"),
        (["photos", "--k-shot", "9"], "runs/photos holds a run with k_shot = 1, not 9; choose"),
        (["photos", "--k-shot", "9", "--run-dir", "new"], "pictures of each class, but 'class"),
        (["photos", "--no-such-flag"], "no-such-flag"),
        (["nothing"], "(fewstep recipes lists them); nor is there a folder nothing here"),
    ],
)
def test_one_line_for_what_cannot_be(words, told, here, capsys):
    assert told in refused(["train", *words], capsys)
    assert not (here / "photos" / "run").exists()


def test_few_classes_and_what_to_do(tmp_path, capsys):
    write_folder(tmp_path / "photos", classes=5)
    told = refused(["train", str(tmp_path / "photos"), *BRIEF], capsys)
    assert "photos has 5 classes; training needs 6, 2 each for training, validation" in told
    write_folder(tmp_path / "one", classes=1)
    assert "one has 1 class; training" in refused(["train", str(tmp_path / "one")], capsys)


def test_a_class_too_small_is_named(here, capsys):
    for number in (1, 2, 3):
        (here / "photos" / "class05" / f"{number:02}.png").write_bytes(b"")
    told = refused(["train", "photos", *BRIEF, "--run-dir", "new"], capsys)
    assert "'class05' has fewer than 2 pictures, and a task takes 2 of each class at least" in told
    assert "add pictures, or do without, as by moving the folder of the class away" in told
    assert not (here / "new").exists()


def test_drawings_and_uneven_counts(here, told_first):
    for number in range(40):
        path = here / "letters" / f"a{number % 7}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(drawing(number)))
    told = (
        "letters: 7 classes, 40 pictures, grey 16x16, taken as ink on paper; 5 to 6 of each class"
    )
    lines = told_first("letters/")
    assert f"{here}/{told}" in lines
    assert lines[-1] == "fewstep: error: q_query 4"


def test_a_folder_with_the_name_of_a_recipe(here, capsys):
    write_folder(here / "sinusoid", classes=6)
    told = refused(["train", "sinusoid", "--steps", "0"], capsys)
    assert "steps is 0" in told
    told = refused(["train", "./sinusoid", *BRIEF, "--filters", "0"], capsys)
    assert "filters is 0" in told


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            {"train": 3, "test": 3},
            "train/ has 3 classes, of which 2 are needed for validation, and a task tells 2 apart; "
            "add a class to train/, or a val/ folder",
        ),
        (
            {"train": 3, "val": 2},
            "train/ has 3 classes, of which 2 are needed for the test, and a task tells 2 apart; "
            "add a class to train/, or a test/ folder",
        ),
        ({"train": 1, "val": 2, "test": 2}, "train/ has 1 class, and a task tells 2 apart; add a"),
        ({"train": 4, "val": 1, "test": 2}, "val/ has 1 class, and a task tells 2 apart; add a c"),
    ],
)
def test_parts_with_too_few_classes(parts, told, tmp_path, capsys):
    for part, classes in parts.items():
        write_folder(tmp_path / "photos" / part, classes, 2, prefix=part)
    assert told in refused(["train", str(tmp_path / "photos"), *BRIEF], capsys)


def test_more_ways_of_a_folder_with_parts_need_more_in_each(tmp_path, told_first):
    for part in ("train", "val", "test"):
        write_folder(tmp_path / "photos" / part, 3, 4, prefix=part)
    told = told_first(str(tmp_path / "photos"), "--run-dir", str(tmp_path / "run"))
    assert any(line.startswith("for more ways: 5 classes in each part for 5-way;") for line in told)
