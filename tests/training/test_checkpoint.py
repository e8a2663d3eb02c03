"""A checkpoint is read as it was written, or refused in one line."""

import errno
import io
import json
import math
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from rich.console import Console
from safetensors import safe_open

from fewstep import InputError
from fewstep.config.recipes import RECIPES, find_recipe, with_algorithm
from fewstep.files import write_whole
from fewstep.training import checkpoint
from fewstep.training.checkpoint import Progress
from fewstep.training.run_dir import RunDir
from fewstep.training.runs import load_run
from tests.training.shared import run, train

CONFIG = replace(
    find_recipe("sinusoid").config,
    steps=8,
    val_every=2,
    val_tasks=2,
    checkpoint_every=4,
    meta_batch=2,
    ema_decay=0.9,
)


MORE = replace(CONFIG, steps=10)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    run(CONFIG, folder)
    return folder


@pytest.fixture
def files(made, tmp_path):
    """A run to damage."""
    return RunDir(shutil.copytree(made, tmp_path / "run"))


def read(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def write(path, tensors, metadata):
    path.write_bytes(safetensors.torch.save(tensors, metadata))


def as_before_checksums(path):
    """Write a checkpoint as versions without checksums did."""
    tensors, metadata = read(path)
    progress = json.loads(metadata["progress"])
    progress.pop("computed_with", None)
    write(path, tensors, {"format": "fewstep-1", "progress": json.dumps(progress)})


def test_one_flipped_bit_anywhere(files):
    content, path = files.best.read_bytes(), files.path / "flipped"
    before, progress = checkpoint.load(files.best)
    header = 8 + int.from_bytes(content[:8], "little")
    draw = random.Random(0)
    bits = [*range(0, 8 * header, 7), *(draw.randrange(8 * len(content)) for _ in range(200))]
    refused = []
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            tensors, other = checkpoint.load(path)
        except InputError as error:
            refused.append(str(error))
            continue
        # A space that fills the header may become another one.
        assert other == progress
        assert tensors.keys() == before.keys()
        assert all(torch.equal(value, before[name]) for name, value in tensors.items())
    assert len(refused) > 0.95 * len(bits)
    assert not any("\n" in line for line in refused)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("old", [False, True], ids=["checksum", "no checksum"])
def test_values_that_are_not_finite(files, value, old):
    if old:
        as_before_checksums(files.best)
    tensors, metadata = read(files.best)
    name = next(iter(tensors))
    tensors[name].view(-1)[0] = value
    write(files.best, tensors, metadata)
    with pytest.raises(InputError, match=r"best.safetensors is damaged"):
        load_run(files.path, None, "cpu")
    with pytest.raises(InputError, match=f"{name} is not finite after outer step 3 and was not"):
        checkpoint.save(files.best, tensors, Progress(step=3))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: {n: v for n, v in t.items() if not n.startswith("adam.")}, "adam"),
        (lambda t: {n: v for n, v in t.items() if not n.startswith("average.")}, "average"),
        (lambda t: {n: v for n, v in t.items() if n != "adam.0.weight.exp_avg_sq"}, "exp_avg_sq"),
        (lambda t: {n: v for n, v in t.items() if not n.endswith(".step")}, "step as nothing"),
        (lambda t: t | {"learned.0.bias": t["learned.0.bias"].double()}, "float64"),
        (lambda t: t | {"average.0.bias": t["average.0.bias"].half()}, "float16"),
        (lambda t: t | {"learned.more": torch.ones(2)}, "learned.more as float32"),
        (lambda t: t | {"average.0.bias": torch.ones(2)}, r"average.0.bias as float32 \[2\]"),
    ],
)
def test_a_checkpoint_that_lacks_something(files, change, told):
    as_before_checksums(files.last)
    tensors, metadata = read(files.last)
    write(files.last, change(tensors), metadata)
    with pytest.raises(InputError, match=rf"last.safetensors has .*{told}.*: restore it or train"):
        run(MORE, files.path)


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": 4.5},
        {"step": None},
        {"best_step": 9},
        {"seconds": math.nan},
        {"seconds": "long"},
        {"best_score": math.inf},
        {"computed_with": [1]},
        {"more": 1},
    ],
    ids=repr,
)
def test_damaged_progress(files, change):
    as_before_checksums(files.last)
    tensors, metadata = read(files.last)
    told = json.loads(metadata["progress"])
    for progress in (json.dumps(told | change), "", "[]", "{"):
        write(files.last, tensors, metadata | {"progress": progress})
        with pytest.raises(InputError, match=r"last.safetensors is damaged .its progress cannot"):
            run(MORE, files.path)


def test_best_is_missing_beside_last(files):
    files.best.unlink()
    with pytest.raises(InputError, match=r"best.safetensors is missing beside last.*; restore it"):
        run(MORE, files.path)


def test_last_is_missing_beside_best(files):
    assert checkpoint.load(files.best)[1].step > CONFIG.checkpoint_every
    files.last.unlink()
    with pytest.raises(InputError, match=r"last.safetensors is missing beside best.*; restore it"):
        run(MORE, files.path)


def test_best_is_damaged_beside_last(files):
    files.best.write_bytes(files.best.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"best.safetensors is damaged"):
        run(MORE, files.path)


@pytest.mark.parametrize(
    ("algorithm", "recipe"),
    [
        *((name, "sinusoid") for name in ("maml", "anil", "meta-sgd", "cavia", "reptile", "imaml")),
        *((name, "glyphs-5way-1shot") for name in ("maml++", "protonet", "finetune")),
    ],
)
def test_every_learner_goes_on_and_so_does_an_older_run(algorithm, recipe, tmp_path):
    config = replace(RECIPES[recipe].config, steps=2, val_every=1, val_tasks=2, meta_batch=2)
    if recipe != "sinusoid":
        config = replace(config, filters=2, workers=1)
    config = with_algorithm(config, algorithm)
    run(config, tmp_path / "new")
    old = RunDir(shutil.copytree(tmp_path / "new", tmp_path / "old"))
    new = RunDir(tmp_path / "new")
    as_before_checksums(old.last)
    as_before_checksums(old.best)
    load_run(old.path, None, "cpu")
    console = Console(file=io.StringIO())
    train(replace(config, steps=4), old.path, console)
    # Nothing is known of what it was computed with, so nothing is said of it.
    assert "bit for bit" not in console.file.getvalue()
    run(replace(config, steps=4), new.path)
    for one, other in ((old.last, new.last), (old.best, new.best)):
        (a, progress), (b, also) = checkpoint.load(one), checkpoint.load(other)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
        assert (progress.step, progress.best_score) == (also.step, also.best_score)
    assert checkpoint.load(old.last)[1].computed_with


def test_weights_that_overflow_are_not_saved(tmp_path, monkeypatch):
    run(replace(CONFIG, steps=4), tmp_path)
    good = RunDir(tmp_path).last.read_bytes()
    written = []
    monkeypatch.setattr(
        "fewstep.training.checkpoint.write_whole",
        lambda path, write: (written.append(path.name), write_whole(path, write)),
    )
    from fewstep.training.state import State

    descend = State.descend

    def overflow(self, gradient, lr):
        descend(self, gradient, lr)
        self.optimizer.state[next(iter(self.parameters.values()))]["exp_avg_sq"].fill_(math.inf)

    monkeypatch.setattr(State, "descend", overflow)
    with pytest.raises(InputError, match=r"is not finite after outer step .* was not saved to"):
        run(replace(CONFIG, steps=5), tmp_path)
    assert "last.safetensors" not in written
    assert RunDir(tmp_path).last.read_bytes() == good


def test_a_damaged_or_foreign_checkpoint(tmp_path):
    run(replace(CONFIG, steps=10), tmp_path / "run")
    files = RunDir(tmp_path / "run")
    content = files.best.read_bytes()
    files.best.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is damaged"):
        load_run(tmp_path / "run", None, "cpu")
    values, progress = {"other.weight": torch.zeros(2)}, checkpoint.Progress()
    checkpoint.save(files.best, values, progress)
    with pytest.raises(InputError, match="of another network"):
        load_run(tmp_path / "run", None, "cpu")
    files.best.unlink()
    with pytest.raises(InputError, match="has no validated checkpoint yet"):
        load_run(tmp_path / "run", None, "cpu")


def test_a_file_that_may_not_be_read_is_there(files, monkeypatch):
    def refuse(path, *_):
        # Root, who may run the tests, may read everything.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"^cannot read .*best\.safetensors \(Permission"):
        checkpoint.load(files.best)
