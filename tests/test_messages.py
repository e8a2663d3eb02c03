"""Values come out of a pipe as they went in."""

import multiprocessing

import pytest
import torch
from torch import nn

from fewstep.messages import packed, read, write


def through_a_pipe(value):
    here, there = multiprocessing.Pipe()
    write(here, packed(value))
    return read(there)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4),
        torch.randn(3, 4).t(),
        torch.randn(1, 4).expand(3, 4),
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(3).bfloat16(),
        torch.randn(3, dtype=torch.complex64).conj(),
        torch.tensor([True, False]),
        torch.tensor(3),
        torch.zeros(0, 4),
    ],
    ids=lambda tensor: f"{tensor.dtype} {list(tensor.shape)} {tensor.stride()}",
)
def test_tensors(tensor):
    received = through_a_pipe({"one": (tensor, tensor)})["one"]
    assert received[0] is received[1]
    assert received[0].dtype == tensor.dtype
    assert torch.equal(received[0], tensor)


def test_what_arrives_may_be_written_to():
    assert through_a_pipe(torch.ones(3)).zero_().sum() == 0


def test_parameters_stay_parameters_and_tied_ones_tied():
    layer = nn.Linear(3, 3)
    layer.bias.requires_grad_(False)
    received = through_a_pipe(nn.Sequential(layer, layer))
    assert received[0].weight is received[1].weight
    assert isinstance(received[0].weight, nn.Parameter)
    assert [p.requires_grad for p in received.parameters()] == [True, False]
    assert torch.equal(received[0].weight, layer.weight)


def test_of_a_part_of_a_tensor_only_the_part_is_sent():
    whole = torch.randn(1000, 1000)
    assert sum(len(memoryview(part)) for part in packed(whole[:2])) < 10_000
