"""What a run is made of depends on its config alone."""

from dataclasses import replace

import pytest
import torch

from fewstep.recipes import RECIPES, with_algorithm
from fewstep.training.setup import learner, samplers


@pytest.mark.parametrize("algorithm", ["maml", "finetune"])
def test_the_seed_fixes_every_initial_weight(algorithm):
    config = with_algorithm(RECIPES["glyphs-5way-1shot"].config, algorithm)
    train = samplers(config, None)["train"]

    def weights(seed):
        made = learner(replace(config, seed=seed), train)
        x, y = torch.ones(5, 1, 28, 28), torch.arange(5)
        return [*(p for _, p in made.named_parameters()), *made.adapt(x, y, 0).parameters()]

    first = weights(0)
    torch.manual_seed(7)
    assert all(torch.equal(one, other) for one, other in zip(first, weights(0), strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(first, weights(1), strict=True))
