"""The memory of the meta-gradient."""

import torch
from torch import nn

from fewstep import MAML, TaskBatch


def test_flat_memory_keeps_no_more_for_more_steps():
    """Bytes that autograd saves at any one time, with one inner step and with ten."""

    def peak(memory, steps):
        saved: dict[int, int] = {}
        most = 0

        class Counted:
            def __init__(self, tensor):
                nonlocal most
                self.tensor = tensor
                saved[id(self)] = tensor.nbytes
                most = max(most, sum(saved.values()))

            def __del__(self):
                saved.pop(id(self), None)

        model = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 3))
        tasks = TaskBatch(
            torch.randn(1, 200, 4),
            torch.randint(3, (1, 200)),
            torch.randn(1, 200, 4),
            torch.randint(3, (1, 200)),
        )
        with torch.autograd.graph.saved_tensors_hooks(Counted, lambda counted: counted.tensor):
            MAML(model, 0.1, steps, memory=memory).meta_gradient(tasks)
        return most

    assert peak("flat", 10) <= 1.05 * peak("flat", 1)
    assert peak("fast", 10) > 5 * peak("fast", 1)
