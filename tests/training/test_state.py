"""Settings that change with the outer step survive an interruption."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fewstep import MAML, InputError
from fewstep.config.recipes import with_algorithm
from fewstep.training.state import State
from tests.training.shared import GLYPHS, last, run


def _interrupted(config, path, monkeypatch):
    """Stopped by an error after six outer steps, and gone on with."""
    from fewstep.learners.maml import MAML

    differentiate = MAML.differentiate

    def failing(self, tasks, outer_step=0):
        if outer_step == 6:
            raise InputError("stopped")
        return differentiate(self, tasks, outer_step)

    with monkeypatch.context() as patch:
        patch.setattr(MAML, "differentiate", failing)
        with pytest.raises(InputError, match="stopped"):
            run(config, path)
    run(config, path)


def test_a_gradient_lies_in_memory_as_its_parameter_does():
    """A fused optimiser takes both in one order, whatever their strides are."""
    learner = MAML(nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last))
    optimizer = torch.optim.SGD(learner.parameters(), lr=1.0)
    state = State(learner, optimizer, 0.0)
    weight = learner.model.weight
    before, given = weight.detach().clone(), torch.randn(weight.shape)
    assert given.stride() != weight.stride()
    state.descend({"weight": given}, None)
    assert weight.grad.stride() == weight.stride()
    assert torch.equal(weight, before - given)


def test_maml_plus_plus_goes_on_to_the_same_end(tmp_path, monkeypatch):
    config = with_algorithm(
        replace(GLYPHS, steps=10, val_every=10, checkpoint_every=4, ema_decay=0.9), "maml++"
    )
    config = replace(config, multi_step_loss=0.8, first_order_share=0.5)
    run(config, tmp_path / "whole")
    _interrupted(config, tmp_path / "interrupted", monkeypatch)
    (whole, _), (other, _) = last(tmp_path / "whole"), last(tmp_path / "interrupted")
    assert whole.keys() == other.keys()
    assert all(torch.equal(whole[name], other[name]) for name in whole)
    statistic = whole["learned.per_step.1.1.running_mean"]
    assert statistic.abs().sum() > 0
    assert "adam.per_step.1.1.running_mean.exp_avg" not in whole
    assert whole["learned.inner_lr.0.0.weight"].unique().numel() > 1
