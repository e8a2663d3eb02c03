"""Layers written for a compiler against PyTorch's, to the second order."""

import pytest
import torch
import torch.nn.functional as F

from fewstep.functional.overrides import TRACEABLE
from tests.ops.derivatives import TASKS, assert_same_derivatives, random_tensor


@pytest.mark.parametrize("relu", [F.relu, torch.relu, torch.Tensor.relu])
def test_relu_for_a_compiler(relu):
    torch.manual_seed(0)
    stand_in = TRACEABLE[relu]
    assert_same_derivatives(
        lambda x: stand_in(x).tanh().square().sum(),
        lambda x: relu(x).tanh().square().sum(),
        (random_tensor(TASKS, 4, 5),),
    )
    x = torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 1.0, torch.inf], requires_grad=True)
    torch.testing.assert_close(stand_in(x), relu(x))
    (found,) = torch.autograd.grad(stand_in(x).sum(), x)
    assert found.tolist() == [0, 0, 0, 0, 1, 1]
    assert stand_in(torch.tensor(torch.nan)).isnan()


def test_relu_in_place_stays_so_for_a_compiler():
    x = torch.tensor([-1.0, 2.0])
    TRACEABLE[F.relu](x, inplace=True)
    assert x.tolist() == [0.0, 2.0]


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
