"""Every algorithm trains, and a run that was killed ends where an undisturbed one ends."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import fewstep
from fewstep.config.file import training_digest
from fewstep.config.recipes import RECIPES, with_algorithm
from fewstep.learners.any_ways import for_ways
from fewstep.training.reporter import Reporter
from fewstep.training.runs import load_run, trained
from tests.processes import end, finish, no_pictures, start, until
from tests.training.shared import GLYPHS, run

ALGORITHMS = ["maml", "fomaml", "anil", "boil", "meta-sgd", "maml++", "cavia"]


@pytest.mark.parametrize("recipe", ["glyphs", "sinusoid"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_trains_and_is_loaded_again(algorithm, recipe, tmp_path):
    plain = GLYPHS
    if recipe == "sinusoid":
        plain = replace(RECIPES["sinusoid"].config, steps=3, val_every=3, val_tasks=2)
    config = with_algorithm(plain, algorithm)
    trained = run(config, tmp_path / "run")
    again = dict(load_run(tmp_path / "run", None, "cpu").learner.named_parameters())
    for name, value in trained.learner.named_parameters():
        assert torch.equal(again[name], value)


COMMAND = [
    *("train", "sinusoid"),
    *("--steps", "60", "--checkpoint-every", "7", "--val-every", "20", "--val-tasks", "4"),
    *("--test-tasks", "4", "--meta-batch", "3", "--ema-decay", "0.9"),
]


def whole(run_dir, out):
    """Output of the command that goes on to the end."""
    status, said = finish([*COMMAND, "--run-dir", run_dir], out, no_pictures)
    assert status == 0, said
    return said


def steps(run_dir):
    """Outer steps that metrics.jsonl tells of."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines if "train/loss" in line]


def same_tensors(one, other, name):
    a, b = load_file(one / name), load_file(other / name)
    return a.keys() == b.keys() and all((a[key] == b[key]).all() for key in a)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    whole(folder / "undisturbed", folder / "out")
    return folder / "undisturbed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_goes_on_to_the_same_end(undisturbed, tmp_path, number):
    run_dir, out = tmp_path / "run", tmp_path / "out"
    process = start([*COMMAND, "--run-dir", run_dir], out)
    until((run_dir / "last.safetensors").exists, process)
    os.kill(process.pid, number)
    status, said = end(process, out)
    assert status == (130 if number == signal.SIGINT else -number), said
    # A write that the kill cut short must not be read either.
    (run_dir / ".last.safetensors.abc.part").write_bytes(b"half")
    assert "going on after outer step" in whole(run_dir, out)
    for name in ("last.safetensors", "best.safetensors"):
        assert same_tensors(undisturbed, run_dir, name)
    assert steps(run_dir) == list(range(1, 61))
    summaries = [json.loads((d / "summary.json").read_text()) for d in (undisturbed, run_dir)]
    assert summaries[0]["mse"] == summaries[1]["mse"]


def test_a_finished_run_is_only_judged_again(undisturbed, tmp_path):
    def content():
        kept = [*undisturbed.glob("tensorboard/*"), *undisturbed.glob("*.safetensors")]
        return {path.name: path.read_bytes() for path in [*kept, undisturbed / "metrics.jsonl"]}

    before = content()
    assert "finished after 60 outer steps; mse" in whole(undisturbed, tmp_path / "out")
    assert content() == before


def scores(learner, tasks):
    return fewstep.evaluate(learner, tasks, n=4).metrics["accuracy"].mean


def test_trained_in_tasks_of_more_classes_than_it_is_tested_in(tmp_path, monkeypatch):
    # As many processes as suit the tasks that are evaluated, where there are some cores.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    config = replace(GLYPHS, n_way=8, test_n_way=5, head_rows="shared", workers=0)
    with trained(config, tmp_path / "run", Reporter()) as one:
        assert [one.tasks[split].n_way for split in ("train", "val", "test")] == [8, 5, 5]
        assert [len(of.model[-1].weight) for of in (one.as_trained, one.learner)] == [8, 5]
        found = scores(one.learner, one.tasks["val"])
    again = load_run(tmp_path / "run", None, "cpu")
    assert again.note == ""
    assert scores(again.learner, again.tasks["val"]) == found
    # By the mean of the rows, which all classes share.
    assert scores(for_ways(again.as_trained, 5)[0], again.tasks["val"]) == found
    other = load_run(tmp_path / "run", None, "cpu", {"n_way": 3})
    assert other.tasks["test"].n_way == 3
    assert "all 3 start from the row they share" in other.note


def test_how_a_run_is_tested_decides_no_outer_step():
    config = replace(GLYPHS, n_way=8, test_n_way=5, head_rows="shared")
    assert training_digest(config) == training_digest(replace(config, test_n_way=4))
