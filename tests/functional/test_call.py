"""A call of a model as a pure function."""

import torch

from fewstep import MAML
from fewstep.models.conv4 import conv4


def test_a_hook_of_the_user_is_called():
    torch.manual_seed(0)
    model, calls = conv4(1, 28, 5, 8), []
    model[0][1].register_forward_hook(lambda *_: calls.append(1))
    x, y = torch.randn(5, 1, 28, 28), torch.arange(5)
    MAML(model, 0.1, 1).adapt(x, y)
    assert len(calls) > 1
