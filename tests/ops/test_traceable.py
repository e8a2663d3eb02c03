"""Layers written for a compiler against PyTorch's, to the second order."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep.functional.overrides import TRACEABLE
from fewstep.ops.traceable import LongSideLast
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


class _Shapes(TorchDispatchMode):
    """Notes the shape of each product."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.bmm.default:
            self.found.append(tuple(result.shape[1:]))
        return result


def _factors(rows, inner, columns, turned):
    torch.manual_seed(0)
    shapes = ((7, rows, inner), (7, inner, columns))
    return [
        (torch.randn(shape).mT.contiguous().mT if turn else torch.randn(shape)).requires_grad_()
        for shape, turn in zip(shapes, turned, strict=True)
    ]


@pytest.mark.parametrize("turned", [(a, b) for a in (False, True) for b in (False, True)])
@pytest.mark.parametrize("sides", [(5, 4, 3), (3, 4, 5), (4, 3, 4), (1, 2, 1)])
def test_the_numbers_are_the_same(sides, turned):
    first, second = _factors(*sides, turned)
    expected = torch.bmm(first, second)
    wanted = torch.autograd.grad(expected.sin().sum(), (first, second))
    with LongSideLast():
        found = torch.bmm(first, second)
        gradients = torch.autograd.grad(found.sin().sum(), (first, second))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients, wanted)


@pytest.mark.parametrize(
    ("sides", "turned", "computed"),
    [
        ((40, 40, 10), (False, False), (10, 40)),
        ((10, 40, 40), (False, False), (10, 40)),
        ((40, 10, 40), (True, False), (40, 40)),
    ],
)
def test_the_long_side_comes_last(sides, turned, computed):
    first, second = _factors(*sides, turned)
    with _Shapes() as shapes, LongSideLast():
        result = torch.bmm(first, second)
    assert shapes.found == [computed]
    # The gradient of a square weight lies as autograd's transpose of it shall.
    assert result.mT.is_contiguous() == (sides != (10, 40, 40))
