"""Values come out of a channel as they went in."""

import multiprocessing
import sys
import warnings

import pytest
import torch
from torch import nn

from fewstep import InputError
from fewstep.distributed.messages import packed, packed_error, unpacked


@pytest.fixture
def send():
    """Sends a value through a pipe."""
    here, there = multiprocessing.Pipe()

    def sent(value):
        here.send_bytes(packed(value))
        return unpacked(there.recv_bytes())

    return sent


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
    assert len(packed(whole[:2])) < 10_000


class _WithAnUnwillingPickle:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        raise self.error


def _scripted(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(model)


@pytest.mark.parametrize(
    "value",
    [
        nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        _scripted(nn.Linear(2, 2)),
        lambda: None,
        sys.stdout,
        _WithAnUnwillingPickle(ValueError("several\nlines")),
        _WithAnUnwillingPickle(NotImplementedError()),
        _WithAnUnwillingPickle(RecursionError("too deep")),
    ],
    ids=["parametrized", "script", "lambda", "file", "ValueError", "no text", "recursion"],
)
def test_what_cannot_be_sent_is_one_line(value):
    with pytest.raises(InputError, match=r"^the model or the loss cannot be sent .+workers=1$"):
        packed([value])


def _unwilling(*_):
    raise RuntimeError("not here")


class _WithAnUnwillingReader:
    def __reduce__(self):
        return _unwilling, ()


def test_what_cannot_be_read_is_one_line():
    with pytest.raises(InputError, match=r"cannot be read there \(not here\); .+workers=1$"):
        unpacked(packed(_WithAnUnwillingReader()))


class _OfSeveralError(Exception):
    def __init__(self, layer, *, size):
        super().__init__(f"{layer} has {size}")
        self.layer, self.size = layer, size


class _OfTaskError(InputError):
    def __init__(self, task, text):
        super().__init__(text)
        self.task = task

    def __str__(self):
        return f"task {self.task}: {super().__str__()}"


class _KeepingError(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.kept = lambda: None


def _decoding_error():
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error


def _of_a_class_made_here(base):
    return type("Local", (base,), {})("some text")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (KeyError("a name"), KeyError, "'a name'"),
        (
            FileNotFoundError(2, "not there", "file"),
            FileNotFoundError,
            "[Errno 2] not there: 'file'",
        ),
        (_decoding_error(), UnicodeDecodeError, str(_decoding_error())),
        (_OfSeveralError("conv", size=3), _OfSeveralError, "conv has 3"),
        (_OfTaskError(7, "is odd"), _OfTaskError, "task 7: is odd"),
        (_KeepingError("some text"), _KeepingError, "some text"),
        (RuntimeError("some text", lambda: None), RuntimeError, None),
        (_of_a_class_made_here(Exception), RuntimeError, "Local: some text"),
        (_of_a_class_made_here(InputError), InputError, "some text"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_an_error_keeps_class_and_text(error, kind, text):
    result, arrived = unpacked(packed_error(error))
    assert result is None
    assert type(arrived) is kind
    assert str(arrived) == text or text is None
    assert "some text" in str(arrived) or text is not None


def test_an_error_keeps_what_it_knows():
    _, arrived = unpacked(packed_error(_OfSeveralError("conv", size=3)))
    assert (arrived.layer, arrived.size) == ("conv", 3)
