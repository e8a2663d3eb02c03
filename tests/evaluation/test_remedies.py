"""Remedies are those that a learner has."""

import pytest
from torch import nn

import fewstep
from fewstep.evaluation.remedies import INNER_LOOP, settings_of


class Own(fewstep.MAML):
    pass


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (fewstep.MAML, INNER_LOOP),
        (Own, INNER_LOOP),
        (fewstep.Reptile, INNER_LOOP),
        (fewstep.R2D2, {"penalty"}),
        (fewstep.ProtoNet, set()),
    ],
)
def test_settings_of_a_learner(kind, given):
    named = INNER_LOOP | {"penalty"}
    assert settings_of(kind(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))) & named == given


def test_a_learner_of_ones_own_has_an_inner_loop():
    assert settings_of(object()) == INNER_LOOP
