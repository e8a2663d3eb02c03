"""Every algorithm trains, and a run that was killed ends where an undisturbed one ends."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from fewstep.config.algorithms import with_algorithm
from fewstep.config.recipes import RECIPES
from fewstep.training.runs import load_run
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
    *(sys.executable, "-m", "fewstep", "train", "sinusoid"),
    *("--steps", "60", "--checkpoint-every", "7", "--val-every", "20", "--val-tasks", "4"),
    *("--test-tasks", "4", "--meta-batch", "3", "--ema-decay", "0.9"),
]


def start(run_dir):
    return subprocess.Popen(
        [*COMMAND, "--run-dir", str(run_dir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(run_dir):
    process = start(run_dir)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


def steps(run_dir):
    """Outer steps that metrics.jsonl tells of."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines if "train/loss" in line]


def same_tensors(one, other, name):
    a, b = load_file(one / name), load_file(other / name)
    return a.keys() == b.keys() and all((a[key] == b[key]).all() for key in a)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "undisturbed"
    finish(run_dir)
    return run_dir


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_goes_on_to_the_same_end(undisturbed, tmp_path, number):
    run_dir = tmp_path / "run"
    process = start(run_dir)
    deadline = time.monotonic() + 60
    while not (run_dir / "last.safetensors").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number), errors
    # A write that the kill cut short must not be read either.
    (run_dir / ".last.safetensors.abc.part").write_bytes(b"half")
    assert "going on after outer step" in finish(run_dir)
    for name in ("last.safetensors", "best.safetensors"):
        assert same_tensors(undisturbed, run_dir, name)
    assert steps(run_dir) == list(range(1, 61))
    summaries = [json.loads((d / "summary.json").read_text()) for d in (undisturbed, run_dir)]
    assert summaries[0]["mse"] == summaries[1]["mse"]


def test_a_finished_run_is_only_judged_again(undisturbed):
    def content():
        kept = [*undisturbed.glob("tensorboard/*"), *undisturbed.glob("*.safetensors")]
        return {path.name: path.read_bytes() for path in [*kept, undisturbed / "metrics.jsonl"]}

    before = content()
    assert "finished after 60 outer steps; mse" in finish(undisturbed)
    assert content() == before
