"""A context is added to a layer, and it alone adapts."""

import torch

from fewstep import MAML
from fewstep.models.context import WithContext
from fewstep.models.conv4 import conv4


def test_a_context_changes_nothing_and_alone_adapts():
    torch.manual_seed(0)
    model = conv4(1, 28, 5, 8)
    wrapped = WithContext(model, 3, "2", 8)
    x = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(wrapped(x), model(x))
    adapted = MAML(wrapped, 1.0, 2, adapting="context").adapt(x, torch.arange(4))
    assert adapted.context.norm() > 0
    others = [name for name, _ in wrapped.named_parameters() if name != "context"]
    assert all(torch.equal(adapted.get_parameter(n), wrapped.get_parameter(n)) for n in others)
    assert not model[2]._forward_hooks
    assert not torch.equal(adapted(x), model(x))
