"""Values come out of a channel as they went in."""

import os
from functools import partial

import pytest
import torch
from torch import nn

from fewstep.messages import both_ends, packed


def sent(value, ends):
    here, there = ends
    here.write(packed(value))
    return there.read()


@pytest.fixture(params=["memory", "pipe"])
def send(request, monkeypatch):
    if request.param == "pipe":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    return partial(sent, ends=both_ends())


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
def test_tensors(tensor, send):
    received = send({"one": (tensor, tensor)})["one"]
    assert received[0] is received[1]
    assert received[0].dtype == tensor.dtype
    assert torch.equal(received[0], tensor)


def test_what_arrives_may_be_written_to(send):
    assert send(torch.ones(3)).zero_().sum() == 0


def test_what_arrived_stays_when_more_does(send):
    first = send(torch.ones(3))
    longer = send(torch.zeros(10_000))
    shorter = send(torch.zeros(2))
    assert [len(first), len(longer), len(shorter)] == [3, 10_000, 2]
    assert first.sum() == 3


def test_parameters_stay_parameters_and_tied_ones_tied(send):
    layer = nn.Linear(3, 3)
    layer.bias.requires_grad_(False)
    received = send(nn.Sequential(layer, layer))
    assert received[0].weight is received[1].weight
    assert isinstance(received[0].weight, nn.Parameter)
    assert [p.requires_grad for p in received.parameters()] == [True, False]
    assert torch.equal(received[0].weight, layer.weight)


def test_of_a_part_of_a_tensor_only_the_part_is_sent():
    whole = torch.randn(1000, 1000)
    assert sum(len(memoryview(part)) for part in packed(whole[:2])) < 10_000
