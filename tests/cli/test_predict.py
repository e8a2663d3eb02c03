"""`fewstep predict`: labels for pictures from files, folders and standard input."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from fewstep.cli import main
from tests.cli.own_pictures import drawing
from tests.cli.shared import refused


@pytest.fixture
def inbox(tmp_path):
    """Three pictures, one of them in a folder of its own, beside something else."""
    folder = tmp_path / "inbox"
    (folder / "more").mkdir(parents=True)
    drawing("bar", 1).save(folder / "b.png")
    drawing("cross", 2).save(folder / "a.png")
    drawing("ladder", 3).save(folder / "more" / "c.png")
    (folder / "list.txt").write_text("no picture, by its name")
    return folder


def predict_json(arguments, capsys, status=0):
    capsys.readouterr()
    assert main(["predict", *map(str, arguments), "--json"]) == status
    out, err = capsys.readouterr()
    return json.loads(out, parse_constant=pytest.fail), err


def test_files_and_folders_in_order(adapted, inbox, capsys):
    told, err = predict_json([adapted, inbox / "b.png", inbox], capsys)
    names = [os.path.relpath(one["file"], inbox) for one in told["predictions"]]
    assert names == ["b.png", "a.png", "b.png", "more/c.png"]
    assert told["accuracy"] is None
    assert told["left_out"] == []
    assert err == ""


def test_the_likeliest_labels(adapted, inbox, capsys):
    told, _ = predict_json([adapted, inbox, "--top", 9], capsys)
    for one in told["predictions"]:
        likely = [pair["probability"] for pair in one["top"]]
        assert len(likely) == 3
        assert likely == sorted(likely, reverse=True)
        assert sum(likely) == pytest.approx(1, abs=1e-4)
        assert one["top"][0] == {"label": one["label"], "probability": one["probability"]}


def test_text_is_a_row_a_picture(adapted, inbox, capsys, monkeypatch):
    monkeypatch.chdir(inbox)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["predict", str(adapted), "more", "a.png", "--top", "2"]) == 0
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["file", "label", "probability", "next"]
    assert first.startswith("more/c.png  ")
    assert second.count("%") == 2


def test_paths_from_standard_input(adapted, inbox, capsys, monkeypatch):
    strange = inbox / "with space é.png"
    shutil.copy(inbox / "a.png", strange)
    text = io.TextIOWrapper(io.BytesIO(f"{inbox / 'a.png'}\r\n\n{strange}".encode()))
    monkeypatch.setattr("sys.stdin", text)
    told, _ = predict_json([adapted, "-"], capsys)
    assert [one["file"] for one in told["predictions"]] == [str(inbox / "a.png"), str(strange)]


def test_csv_holds_the_same(adapted, inbox, tmp_path, capsys):
    table = tmp_path / "new" / "out.csv"
    told, _ = predict_json([adapted, inbox, "--csv", table, "--top", 2], capsys)
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert list(rows[0]) == ["file", "label", "probability", "label_2", "probability_2"]
    assert [row["label"] for row in rows] == [one["label"] for one in told["predictions"]]
    second = [one["top"][1]["probability"] for one in told["predictions"]]
    assert [float(row["probability_2"]) for row in rows] == second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inbox", "new"]


def test_bad_files_do_not_stop_the_others(adapted, inbox, tmp_path, capsys):
    (inbox / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (inbox / "empty.png").touch()
    os.mkfifo(inbox / "pipe.png")
    Image.new("1", (20_000, 20_000)).save(inbox / "bomb.png")
    (inbox / "round.png").symlink_to(inbox / "round.png")
    (inbox / "out.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "none").mkdir()
    table = tmp_path / "out.csv"
    given = [adapted, tmp_path / "missing.png", inbox, tmp_path / "none", "--csv", table]
    told, err = predict_json(given, capsys, status=2)
    assert [os.path.basename(one["file"]) for one in told["predictions"]] == [
        *("a.png", "b.png", "c.png")
    ]
    left_out = {os.path.basename(one["file"]): one["reason"] for one in told["left_out"]}
    assert set(left_out) == {
        *("broken.jpg", "empty.png", "pipe.png", "bomb.png", "round.png", "out.png"),
        *("missing.png", "none"),
    }
    assert "pixels" in left_out["bomb.png"]
    assert len(table.read_text().splitlines()) == 4
    *lines, last = err.splitlines()
    assert len(lines) == 8
    assert f"left out: {inbox / 'empty.png'}: empty" in lines
    assert last == (
        "fewstep: error: 8 of 11 could not be predicted, as listed above; the others were"
    )


def test_special_files_are_not_waited_for(adapted, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    told, _ = predict_json([adapted, tmp_path / "pipe", "/dev/null"], capsys, status=2)
    assert [one["reason"] for one in told["left_out"]] == ["no regular file"] * 2


def test_none_of_these(adapted, inbox, capsys):
    told, _ = predict_json([adapted, inbox / "a.png", "--threshold", "1"], capsys)
    assert told["predictions"][0]["label"] is None
    assert told["predictions"][0]["top"][0]["label"]
    assert main(["predict", str(adapted), str(inbox / "a.png"), "--threshold", "1"]) == 0
    assert "none of these" in capsys.readouterr().out
    told, _ = predict_json([adapted, inbox / "a.png", "--threshold", "0"], capsys)
    assert told["predictions"][0]["label"]


def test_the_threshold_of_the_run(adapted, inbox, tmp_path, capsys):
    model = shutil.copytree(adapted, tmp_path / "model")
    about = json.loads((model / "adapted.json").read_text())
    (model / "adapted.json").write_text(json.dumps(about | {"threshold": 0.99999}))
    told, _ = predict_json([model, inbox, "--threshold", "auto"], capsys)
    assert told["threshold"] == 0.99999
    assert {one["label"] for one in told["predictions"]} == {None}
    # Nobody asked for it.
    told, _ = predict_json([model, inbox], capsys)
    assert None not in {one["label"] for one in told["predictions"]}
    (model / "adapted.json").write_text(json.dumps(about | {"threshold": None}))
    told = refused(["predict", str(model), str(inbox), "--threshold", "auto"], capsys)
    assert "has no threshold" in told
    assert "validation classes" in told


@pytest.mark.parametrize("value", ["2", "-1", "nan", "often"])
def test_thresholds_that_are_none(value, adapted, inbox, capsys):
    given = ["predict", str(adapted), str(inbox), f"--threshold={value}"]
    assert "expected auto or a probability from 0 to 1" in refused(given, capsys)


def test_nothing_to_predict(adapted, capsys, monkeypatch):
    assert "nothing to predict is given" in refused(["predict", str(adapted)], capsys)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert "names no picture" in refused(["predict", str(adapted), "-"], capsys)


def test_models_that_are_none(glyph_runs, inbox, tmp_path, capsys):
    file = str(inbox / "a.png")
    told = refused(["predict", str(glyph_runs / "maml"), file], capsys)
    assert "is a run directory" in told
    assert "fewstep adapt" in told
    assert "adapted.json" in refused(["predict", str(tmp_path), file], capsys)
    assert "adapted.json" in refused(["predict", str(tmp_path / "missing"), file], capsys)


def test_a_table_that_cannot_be_written(adapted, inbox, tmp_path, capsys):
    for place in (tmp_path, inbox / "a.png" / "out.csv", inbox / "a.png" / "new" / "out.csv"):
        given = ["predict", str(adapted), str(inbox), "--csv", str(place)]
        assert "cannot write" in refused(given, capsys)
        # Before anything is loaded.
        given[1] = str(tmp_path / "missing")
        assert "cannot write" in refused(given, capsys)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device without space")
def test_a_table_on_a_full_disk(adapted, inbox, tmp_path, capsys, monkeypatch):
    def no_space(path, content):
        with open("/dev/full", "wb") as full:
            full.write(content)

    monkeypatch.setattr("pathlib.Path.write_bytes", no_space)
    given = ["predict", str(adapted), str(inbox), "--csv", str(tmp_path / "out.csv")]
    assert "no disk space left" in refused(given, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]


def test_no_module_of_training_is_loaded():
    """In a process of its own: nothing of training, nor what draws or reads other tables."""
    code = "import sys, fewstep.cli.predicting, fewstep.cli.predicting_rows; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(out.stdout.split())
    assert "torch" in loaded
    assert not {"fewstep.training.runs", "tensorboard", "matplotlib", "sklearn", "pandas"} & loaded


def test_csv_on_standard_output_stands_there_alone(adapted, inbox, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    capsys.readouterr()
    given = ["predict", str(adapted), str(inbox / "a.png"), "--csv", "-"]
    assert main(given) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [list(row) for row in rows] == [["file", "label", "probability"]]
    assert sorted(os.listdir(tmp_path)) == before
    assert "both take standard output" in refused([*given, "--json"], capsys)
