"""Tasks side by side: weights of their own, and weights that all share."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fewstep import MAML, TaskBatch
from fewstep.models.conv4 import conv4
from tests.factory import make_tasks
from tests.ops.derivatives import random_tensor


class _WeightGradients(TorchDispatchMode):
    """Notes of how many pictures each is."""

    def __init__(self):
        super().__init__()
        self.pictures = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket is torch.ops.aten.convolution_backward and args[-1][1]:
            self.pictures[len(args[0])] += 1
        return func(*args, **(kwargs or {}))


def test_tasks_that_share_weights_sum_gradients_at_once():
    """Four layers: of each task alone the inner gradient and that of the query set; then the sum.

    Only the second of two terms of it is there for the first layer, whose input is no result.
    """
    torch.manual_seed(0)
    learner = MAML(conv4(1, 28, 2, 8, "max-pool"), inner_steps=1, execution="vectorised")
    tasks = make_tasks(3, 1, 1, (1, 28, 28), ways=2, dtype=torch.float32)
    learner.meta_gradient(tasks)  # looks at the model once
    with _WeightGradients() as seen:
        learner.meta_gradient(tasks)
    assert seen.pictures == {2: 3 * (4 + 4), 3 * 2: 3 + 4}


@pytest.mark.parametrize("adapting", ["0.bias", "0.weight"])
@pytest.mark.parametrize("memory", ["fast", "flat"])
def test_a_bias_of_each_task_beside_weights_that_all_share(adapting, memory):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 2)).double()
    x, y = random_tensor(3, 2, 4, 6, 6).detach(), torch.arange(2).repeat(3, 1)
    gradients = [
        MAML(model, 0.5, 2, adapting=[adapting], memory=memory, execution=execution).meta_gradient(
            TaskBatch(x, y, x + 1, y)
        )[1]
        for execution in ("loop", "vectorised")
    ]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)
