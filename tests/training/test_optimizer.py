"""Adam of one kernel is the same setting, and goes on with what another left."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import fewstep
from fewstep.training import fit_arguments, runs
from fewstep.training.optimizer import adam
from fewstep.training.run_dir import RunDir
from tests.training.shared import FIT, SINUSOID, last, run, small_learner


def fused(parameters, lr):
    """Fused as on a GPU."""
    made = adam(parameters, lr)
    for group in made.param_groups:
        group["fused"] = True
    return made


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(runs, "adam", fused)
    monkeypatch.setattr(fit_arguments, "adam", fused)


def test_on_the_cpu_it_is_what_it_was():
    parameter = nn.Parameter(torch.zeros(2))
    expected = torch.optim.Adam([parameter], lr=0.1).state_dict()
    assert adam([parameter], 0.1).state_dict() == expected


@pytest.mark.usefixtures("on_gpu")
def test_a_fused_run_is_gone_on_with_bit_for_bit(tmp_path):
    config = replace(SINUSOID, ema_decay=0.9)
    run(config, tmp_path / "whole")
    run(replace(config, steps=15), tmp_path / "parted")
    run(config, tmp_path / "parted")
    (whole, _), (parted, _) = last(tmp_path / "whole"), last(tmp_path / "parted")
    assert all(torch.equal(value, parted[name]) for name, value in whole.items())


def test_a_checkpoint_of_plain_adam_is_gone_on_with(tmp_path, monkeypatch):
    run(replace(SINUSOID, steps=15), tmp_path / "run")
    run(SINUSOID, tmp_path / "plain")
    seen = []

    def noted(parameters, lr):
        seen.append(fused(parameters, lr))
        return seen[-1]

    monkeypatch.setattr(runs, "adam", noted)
    run(SINUSOID, tmp_path / "run")
    assert seen[-1].param_groups[0]["fused"]
    (one, _), (other, _) = last(tmp_path / "run"), last(tmp_path / "plain")
    assert one.keys() == other.keys()
    assert all(torch.allclose(value, other[name]) for name, value in one.items())


def test_it_counts_as_no_other_setting_of_a_run_of_fit(tmp_path, monkeypatch):
    fewstep.fit(small_learner(), **FIT, run_dir=tmp_path)
    before = RunDir(tmp_path).config.read_text()
    monkeypatch.setattr(fit_arguments, "adam", fused)
    fewstep.fit(small_learner(), **(FIT | {"steps": 9}), run_dir=tmp_path)
    assert RunDir(tmp_path).config.read_text() == before.replace('"steps": 6', '"steps": 9')
