import torch

from fewstep.execution.kernels import is_right


def test_rounding_is_no_mistake():
    """Nor is the noise of a sum that is zero; a wrong one of several results is a mistake."""
    expected = [torch.ones(4), torch.full((3,), 1e-9), torch.tensor([torch.inf]), torch.arange(3)]
    rounded = [torch.ones(4) + 1e-4, torch.full((3,), -1e-9), torch.tensor([torch.inf])]
    assert is_right([*rounded, torch.arange(3)], expected, 0.05)
    assert not is_right([torch.ones(4), torch.full((3,), 1e-2), *rounded[2:], None], expected, 0.05)
