"""Layers written for a compiler against PyTorch's, to the second order."""

import pytest
import torch
import torch.nn.functional as F

from fewstep.functional.overrides import TRACEABLE
from tests.ops.derivatives import TASKS, assert_same_derivatives, random_tensor


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_max_pooling_for_a_compiler(size):
    """Where several are the largest, the first is selected."""
    torch.manual_seed(0)
    pool = TRACEABLE[F.max_pool2d]
    ties = torch.randint(2, (TASKS, 2, 3, *size)).double().requires_grad_()
    for x in (random_tensor(TASKS, 2, 3, *size), ties):
        assert_same_derivatives(
            lambda x: pool(x, 2).tanh().square().sum(),
            lambda x: F.max_pool2d(x, 2).tanh().square().sum(),
            (x,),
        )
