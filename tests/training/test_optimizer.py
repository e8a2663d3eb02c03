"""Adam of one kernel goes on with what another left; Muon moves hidden weights alike."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import fewstep
from fewstep.training import fit_arguments, optimizer
from fewstep.training.optimizer import Muon, adam, optimizer_of
from fewstep.training.run_dir import RunDir
from tests.training.shared import FIT, GLYPHS, SINUSOID, last, run, small_learner


def fused(parameters, lr):
    """Fused as on a GPU."""
    made = adam(parameters, lr)
    for group in made.param_groups:
        group["fused"] = True
    return made


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(optimizer, "adam", fused)
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

    monkeypatch.setattr(optimizer, "adam", noted)
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


def learner_with_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 6), nn.Linear(6, 2))
    learner = fewstep.MAML(model, step_sizes="per-step")
    for parameter in learner.parameters():
        parameter.grad = torch.randn_like(parameter)
    return learner


def moved(learner, optimizer):
    before = {name: p.detach().clone() for name, p in learner.named_parameters()}
    optimizer.step()
    return {name: p.detach() - before[name] for name, p in learner.named_parameters()}


def test_muon_moves_hidden_weights_alike_and_the_rest_by_adam():
    learner, other = learner_with_gradients(), learner_with_gradients()
    by_muon = moved(learner, optimizer_of("muon", learner, 0.01))
    by_adam = moved(other, adam(other.parameters(), 0.01))
    hidden = {"0.weight", "2.weight"}
    assert hidden < by_muon.keys() == by_adam.keys()
    gradients = {name: p.grad for name, p in other.named_parameters()}
    for name, step in by_muon.items():
        if name not in hidden:
            torch.testing.assert_close(step, by_adam[name])
            continue
        matrix = step.flatten(1)
        values = torch.linalg.svdvals(matrix) / (0.01 * 0.2 * max(matrix.shape) ** 0.5)
        assert values.min() > 0.6
        assert values.max() < 1.3
        assert (step * gradients[name]).sum() < 0


def test_muon_minimises():
    torch.manual_seed(0)
    x = torch.randn(64, 8)
    layer, y = nn.Linear(8, 4), x @ torch.randn(8, 4)
    optimizer = Muon(layer.parameters(), 0.1, [layer.weight])
    for _ in range(200):
        optimizer.zero_grad()
        loss = (layer(x) - y).square().mean()
        loss.backward()
        optimizer.step()
    # Its steps do not grow smaller by themselves.
    assert loss < 0.1


def test_a_run_by_muon_is_gone_on_with_bit_for_bit(tmp_path):
    config = replace(GLYPHS, optimizer="muon", ema_decay=0.9, steps=6, val_every=2)
    run(config, tmp_path / "whole")
    run(replace(config, steps=3), tmp_path / "parted")
    run(config, tmp_path / "parted")
    (whole, _), (parted, _) = last(tmp_path / "whole"), last(tmp_path / "parted")
    assert any(name.endswith("momentum_buffer") for name in whole)
    assert whole.keys() == parted.keys()
    assert all(torch.equal(value, parted[name]) for name, value in whole.items())
