"""Prototypes are means of what the last layer is called with."""

import torch
from torch import nn

from fewstep import ProtoMAML, ProtoNet
from tests.factory import make_tasks


def test_prototypes_are_of_what_the_head_is_called_with():
    torch.manual_seed(0)
    body, head = nn.Linear(4, 5), nn.Linear(5, 3)
    plain, odd = nn.Sequential(body, head), nn.Sequential(body, head, nn.LogSoftmax(1))
    tasks = make_tasks(2, dtype=torch.float32)
    for kind in (ProtoNet, ProtoMAML):
        found, expected = (kind(model).evaluate(tasks, 1).losses for model in (odd, plain))
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(*(kind(m).meta_gradient(tasks)[0] for m in (odd, plain)))
