"""Convolutions get their tensors in the layout that they are fast in."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep import MAML
from fewstep.models.conv4 import conv4
from tests.factory import make_tasks


class _ConvolutionInputs(TorchDispatchMode):
    """Collects the strides of all pictures and filters that convolutions are given."""

    def __init__(self):
        super().__init__()
        self.strides = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        pictures = {
            torch.ops.aten.convolution: args[:1],
            torch.ops.aten.convolution_backward: args[:2],
        }.get(func.overloadpacket)
        if pictures:
            # How filters for one channel lie in memory makes no difference.
            filters = args[len(pictures)]
            given = [*pictures, *([filters] if filters.shape[1] > 1 else [])]
            self.strides |= {(tensor.shape[1:], tensor.stride()[1:]) for tensor in given}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("execution", ["loop", "vectorised"])
def test_convolutions_get_everything_channels_last(execution):
    """Also pictures of one channel, whose strides would mean channels-first as well."""
    torch.manual_seed(0)
    model = conv4(1, 28, 2, 8, "max-pool")
    learner = MAML(model, inner_steps=2, execution=execution)
    tasks = make_tasks(2, 1, 1, (1, 28, 28), ways=2, dtype=torch.float32)
    learner.meta_gradient(tasks)  # looks at the model once
    with _ConvolutionInputs() as seen:
        learner.meta_gradient(tasks)
    assert len(seen.strides) > 4
    for (channels, _, width), stride in seen.strides:
        assert stride == (1, width * channels, channels)
