"""Products of small matrices the other way round."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep.ops.products import LongSideLast


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
