"""`fewstep compare`: runs side by side, in a table and a picture."""

import errno
import json
import os
import re
import shutil

import pytest
from PIL import Image

from fewstep.cli import main, results
from tests.cli.shared import SMALL, TINY, refused


@pytest.mark.usefixtures("painted")
def test_compare_adds_a_random_start_and_draws(run_dir, tmp_path, capsys):
    picture = tmp_path / "c.png"
    given = ["compare", str(run_dir), "--tasks", "4", "--inner-steps", "2"]
    assert main([*given, "--picture", str(picture), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["sinusoid", "random"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_runs_on_different_tasks_are_not_compared(run_dir, tmp_path, capsys):
    other = tmp_path / "other"
    assert main([*SMALL, "--seed", "1", "--run-dir", str(other)]) == 0
    capsys.readouterr()
    assert main(["compare", str(run_dir), str(other)]) == 2
    assert "other has seed = 1 and sinusoid 0" in capsys.readouterr().err


def test_more_inner_steps_than_a_run_learned_something_for(run_dir, tmp_path, capsys):
    three, five = str(tmp_path / "three"), str(tmp_path / "five")
    plus = [*SMALL, "--algorithm", "maml++"]
    assert main([*plus, "--run-dir", five]) == 0
    fewer = ["--inner-steps", "3", "--test-inner-steps", "3"]
    assert main([*plus, *fewer, "--run-dir", three]) == 0
    ten = ["--inner-steps", "10"]
    for given, told in (
        (
            ["compare", str(run_dir), five, *ten],
            "five learned step sizes or batch norm for 5 inner",
        ),
        (["compare", five, *ten], "cannot take 10; use --inner-steps 5"),
        (["compare", five, three, *ten], "use --inner-steps 3"),
        (["evaluate", five, "--inner-steps", "6"], "cannot take 6; use --inner-steps 5"),
    ):
        capsys.readouterr()
        assert main(given) == 2
        captured = capsys.readouterr()
        assert told in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""
    picture = ["--picture", str(tmp_path / "c.png"), "--tasks", "2"]
    for most, given in ((5, ["compare", five]), (3, ["compare", five, str(run_dir), three])):
        assert main([*given, *picture, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        # As many as all of them can take.
        assert {max(map(int, one["mse"])) for one in told.values()} == {most}


def test_runs_of_the_same_folder_name_are_told_apart(run_dir, tmp_path, capsys):
    other = tmp_path / run_dir.name
    shutil.copytree(run_dir, other)
    compare = ["compare", "--tasks", "2", "--json", "--picture", str(tmp_path / "c.png")]
    assert main([*compare, str(run_dir), str(other)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {str(run_dir.resolve()), str(other.resolve()), "random"}
    assert told["random"]["algorithm"] == "none"
    assert main([*compare, str(run_dir), str(run_dir)]) == 2
    assert "is given twice" in capsys.readouterr().err


def test_compare_judges_all_on_the_same_tasks(glyph_runs, tmp_path, capsys):
    names = [str(glyph_runs / name) for name in ("maml", "fomaml", "finetune")]
    picture = tmp_path / "comparison.png"
    assert main(["compare", *names, "--tasks", "3", "--picture", str(picture)]) == 0
    out = capsys.readouterr().out
    for start in ("maml", "fomaml", "finetune,", "random"):
        assert re.search(rf"^ +{start}", out, re.MULTILINE)
    assert "3 test tasks of glyphs, 5-way 1-shot 2-query" in out
    assert "transductive and inductive batch norm" in out


def test_compare_tells_which_run_has_no_batch_norm(glyph_runs, tmp_path, capsys):
    without, picture = tmp_path / "group", ["--picture", str(tmp_path / "c.png")]
    train = ["train", "glyphs-5way-1shot", *TINY, "--model-norm", "group"]
    assert main([*train, "--run-dir", str(without)]) == 0
    with_norm = str(glyph_runs / "maml")
    capsys.readouterr()
    assert main(["compare", str(without), with_norm, "--tasks", "2", *picture]) == 0
    out = capsys.readouterr().out
    assert "transductive and inductive batch norm" in out
    assert "group, no batch norm" in out
    assert "random, no batch norm" in out
    assert "maml, no batch norm" not in out
    assert main(["compare", with_norm, "--tasks", "2", *picture]) == 0
    assert "no batch norm" not in capsys.readouterr().out


@pytest.mark.usefixtures("painted")
def test_compare_tells_loss_and_accuracy_of_each_way_to_adapt(glyph_runs, tmp_path, capsys):
    picture = tmp_path / "c.png"
    given = ["compare", str(glyph_runs / "finetune"), "--tasks", "3", "--picture", str(picture)]
    assert main([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["finetune, whole", "finetune, head", "random"]
    whole, head = told["finetune, whole"], told["finetune, head"]
    assert set(whole["accuracy"]) == set(head["loss"]) == {str(step) for step in range(11)}
    assert whole["loss"]["0"] == head["loss"]["0"]
    assert whole["loss"]["10"] != head["loss"]["10"]
    with Image.open(picture) as drawn:
        assert drawn.width > 1.5 * drawn.height


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_picture_that_cannot_be_drawn_costs_no_table(flag, run, tmp_path, capsys, monkeypatch):
    picture = tmp_path / "new" / "c.png"

    def full(path, *_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fewstep.report.pictures.draw_curves", full)
    given = ["compare", str(run), "--tasks", "2", "--inner-steps", "1", "--picture", str(picture)]
    capsys.readouterr()
    assert main([*given, *flag]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["run"]["tasks"] == 2 if flag else "mse after inner steps" in out
    assert "picture:" not in out
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("run/best.safetensors", "is no PNG file by its name; expected one that ends .png"),
        ("run/config.json/c.png", "config.json); choose a folder that you may write to"),
        ("run/config.json/deep/c.png", "config.json); choose a folder that you may write to"),
    ],
)
def test_a_place_that_is_none_for_a_picture(place, told, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(results, "evaluate_tasks", lambda *_: pytest.fail("judged first"))
    before = (run / "best.safetensors").read_bytes()
    assert told in refused(["compare", str(run), "--picture", str(tmp_path / place)], capsys)
    assert (run / "best.safetensors").read_bytes() == before
