"""The steps of a block that a compiler is given."""

import pytest
import torch

from fewstep.ops.block import Block
from fewstep.ops.block_compiled import PAIRS, CompiledSteps, can_be_compiled
from fewstep.ops.block_eager import EAGER
from fewstep.ops.max_pool import window_of
from fewstep.ops.norm_block import norm_block
from fewstep.runtime.compile_cache import CompiledFunctions
from tests.ops.derivatives import derivatives, random_tensor


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (3, 2)])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("window", [None, PAIRS])
def test_the_compiled_steps_of_a_block(window, relu, size):
    """As they are written; what a compiler makes of them is in test_compiled.py."""
    torch.manual_seed(0)
    steps, block = CompiledSteps(CompiledFunctions()), Block(1e-5, relu, window)
    steps.functions.given_up = True
    weight = torch.tensor([1.5, -0.5, 0.0], dtype=torch.float64, requires_grad=True)
    arguments = (random_tensor(4, 3, *size), weight, random_tensor(3))

    def of(way):
        return derivatives(lambda *a: norm_block(*a, block, way).tanh().square().sum(), arguments)

    for ours, theirs in zip(of(steps), of(EAGER), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_only_plain_pooling_is_compiled():
    assert can_be_compiled(Block(1e-5, True, window_of(2)))
    assert can_be_compiled(Block(1e-5))
    assert not can_be_compiled(Block(1e-5, True, window_of(2, padding=1)))
