"""Whole numbers of NumPy are taken wherever Python's are, and kept as Python's."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

import fewstep
from fewstep.data import ImageFolder, Preparation, SinusoidSampler
from fewstep.whole_numbers import as_whole
from tests.cli.own_pictures import write_classes
from tests.factory import make_tasks, mlp

N = np.int64


@pytest.mark.parametrize("number", [3, N(3), np.uint8(3), torch.tensor(3)])
def test_a_whole_number_of_any_kind_becomes_an_int(number):
    assert as_whole(number) == 3
    assert type(as_whole(number)) is int


@pytest.mark.parametrize(
    "value",
    [
        *(3.0, np.float64(3), True, np.bool_(True), torch.tensor(True), torch.tensor([3]), None),
        torch.tensor(3, device="meta"),
    ],
)
def test_what_is_none_is_told(value):
    assert as_whole(value) is None


def test_a_run_of_numpy_numbers_is_kept_and_read(tmp_path):
    waves = SinusoidSampler(N(5), N(5), N(1))
    learner = fewstep.MAML(mlp(inputs=1, outputs=1).float(), np.float32(0.01), N(1), loss="mse")
    counts = ["steps", "meta_batch", "val_every", "val_tasks", "checkpoint_every", "patience"]
    numbers = dict.fromkeys([*counts, "val_steps", "seed"], N(2))
    given = {**numbers, "workers": N(1), "ema_decay": np.float32(0.5), "run_dir": tmp_path / "run"}
    assert fewstep.fit(learner, waves, validation=waves, **given).steps == 2
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert {name: kept[name] for name in numbers} == dict.fromkeys(numbers, 2)
    assert kept["learner.inner_steps"] == 1
    read = fewstep.load(tmp_path / "run", mlp(inputs=1, outputs=1).float())
    assert read.learner.inner_lr == learner.inner_lr
    result = fewstep.evaluate(learner, waves, N(1), n=N(3), workers=N(1))
    assert len(result.loss.mean) == 2


def test_numpy_numbers_in_other_settings(tmp_path):
    given = {"proximal": np.float32(0.5), "cg_steps": N(2)}
    learner = fewstep.ImplicitMAML(mlp(), 0.1, N(2), **given)
    loss, _ = learner.meta_gradient(make_tasks(), N(0))
    assert loss.isfinite()
    checked = fewstep.MAML(mlp(), 0.1)
    assert fewstep.check_gradient(checked, make_tasks(), directions=N(1), seed=N(1)).exact
    write_classes(tmp_path, 2)
    assert str(ImageFolder(tmp_path, size=N(8), channels=N(1))).endswith("grey 8x8>")
    assert json.loads(json.dumps(asdict(Preparation(N(8), N(1)))))["size"] == 8
