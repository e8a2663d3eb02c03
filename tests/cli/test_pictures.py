"""From pictures to a table: both algorithms on few tasks of each data set, through the commands."""

import json
import re

import pytest
from PIL import Image

from fewstep.cli import main

SHORT = ["--steps", "3", "--val-every", "3", "--val-tasks", "2", "--test-tasks", "3"]
TINY = [*SHORT, "--meta-batch", "2", "--filters", "4", "--q-query", "2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for algorithm in ("maml", "fomaml", "finetune"):
        given = ["train", "glyphs-5way-1shot", "--algorithm", algorithm, *TINY]
        assert main([*given, "--run-dir", str(folder / algorithm)]) == 0
    return folder


def test_each_run_draws_its_curve_and_a_task(runs):
    for run in runs.iterdir():
        for name in ("adaptation.png", "task.png"):
            with Image.open(run / name) as picture:
                assert min(picture.size) > 300


def test_compare_judges_all_on_the_same_tasks(runs, tmp_path, capsys):
    names = [str(runs / name) for name in ("maml", "fomaml", "finetune")]
    picture = tmp_path / "comparison.png"
    assert main(["compare", *names, "--tasks", "3", "--picture", str(picture)]) == 0
    out = capsys.readouterr().out
    for start in ("maml", "fomaml", "finetune,", "random"):
        assert re.search(rf"^ +{start}", out, re.MULTILINE)
    assert "3 test tasks of glyphs, 5-way 1-shot 2-query" in out
    assert "transductive and inductive batch norm" in out


def test_compare_tells_loss_and_accuracy_of_each_way_to_adapt(runs, tmp_path, capsys):
    picture = tmp_path / "c.png"
    given = ["compare", str(runs / "finetune"), "--tasks", "3", "--picture", str(picture)]
    assert main([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["finetune, whole", "finetune, head", "random"]
    whole, head = told["finetune, whole"], told["finetune, head"]
    assert set(whole["accuracy"]) == set(head["loss"]) == {str(step) for step in range(11)}
    assert whole["loss"]["0"] == head["loss"]["0"]
    assert whole["loss"]["10"] != head["loss"]["10"]
    with Image.open(picture) as drawn:
        assert drawn.width > 1.5 * drawn.height


def test_a_pretrained_network_far_from_trained(runs, capsys):
    assert main(["evaluate", str(runs / "finetune"), "--tasks", "3"]) == 0
    assert "classes, where chance is 0.1%: the network is hardly trained" in capsys.readouterr().out
    assert main(["evaluate", str(runs / "maml"), "--tasks", "3"]) == 0
    assert "hardly trained" not in capsys.readouterr().out


def test_a_diagnosis_is_told_and_kept(runs, capsys):
    assert main(["evaluate", str(runs / "maml"), "--tasks", "3", "--json"]) == 0
    kept = json.loads((runs / "maml" / "summary.json").read_text())["diagnosis"]
    assert json.loads(capsys.readouterr().out)["diagnosis"] == kept
    assert kept["tasks"] == 3
    assert kept["gradient_norm"] > 0
    assert kept["support_loss_after"] < kept["support_loss_before"]
    assert main(["evaluate", str(runs / "maml"), "--tasks", "3"]) == 0
    told = capsys.readouterr().out
    assert told.count("diagnosis: ") == max(len(kept["findings"]), 1)
    assert all(sentence in told for sentence in kept["findings"])


def test_inductive_evaluation_is_another_number(runs, capsys):
    told = {}
    for norm in ("transductive", "inductive"):
        given = ["evaluate", str(runs / "maml"), "--tasks", "4", "--norm", norm, "--json"]
        assert main(given) == 0
        told[norm] = json.loads(capsys.readouterr().out)
        assert told[norm]["norm"] == norm
    assert told["transductive"]["loss"] != told["inductive"]["loss"]


@pytest.mark.omniglot
def test_omniglot(data_dir, tmp_path):
    given = ["train", "omniglot-5way-1shot", *TINY, "--data-dir", str(data_dir)]
    assert main([*given, "--run-dir", str(tmp_path / "run")]) == 0
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told["recipe"] == "omniglot-5way-1shot"
    assert set(told["accuracy"]) == {"0", "1", "2", "3"}
