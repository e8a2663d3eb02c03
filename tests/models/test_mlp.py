"""The network of the MAML paper for the sinusoid has its size."""

import torch

from fewstep.models.mlp import mlp


def test_mlp_of_the_sinusoid():
    model = mlp(1, (40, 40), 1)
    assert model(torch.zeros(7, 1)).shape == (7, 1)
    assert sum(p.numel() for p in model.parameters()) == 80 + 1640 + 41
