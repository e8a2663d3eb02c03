"""The last layer of a classifier, and models that have none to adapt or replace."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from fewstep import MAML, InputError, ProtoMAML, ProtoNet
from tests.factory import make_tasks

ODD_HEADS = {
    "weight norm": lambda m: parametrizations.weight_norm(m[2]),
    "prune": lambda m: nn.utils.prune.l1_unstructured(m[2], "weight", 0.5),
    "tied": lambda m: setattr(m[2], "weight", m[0].weight),
    "kind": lambda m: m.__setitem__(2, type("Cosine", (nn.Linear,), {})(4, 3)),
}


@pytest.mark.parametrize("change", ODD_HEADS.values(), ids=ODD_HEADS)
@pytest.mark.parametrize("kind", [ProtoNet, ProtoMAML])
def test_heads_that_prototypes_cannot_stand_in(kind, change):
    import torch.nn.utils.prune  # noqa: F401

    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(4, 3))
    change(model)
    with pytest.raises(InputError, match=r"the last layer '2.*' is no plain nn.Linear"):
        kind(model)


def test_a_head_that_is_tied_adapts_as_a_whole():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 3)).double()
    model[2].weight = model[0].weight
    learner = MAML(model, 0.5, adapting="head", head="2")
    tasks = make_tasks(1)
    adapted = learner.adapt(*tasks.task(0)[:2])
    assert not torch.equal(adapted[0].weight, model[0].weight)
    assert torch.equal(adapted[3].weight, model[3].weight)
