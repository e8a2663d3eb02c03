"""Values on their way from one process to another."""

from __future__ import annotations

import io
import pickle
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from fewstep.errors import InputError, first_line

Message = list[bytes | memoryview]
"""A pickle, and the tensors that belong to it as they lie in memory."""


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        # PyTorch would copy more than once, and the whole memory of which this may be a part.
        if type(value) is Tensor and _is_plain(value):
            return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def _is_plain(tensor: Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and tensor.dtype in (torch.float32, torch.float64, torch.int64, torch.bool)
        and tensor.is_contiguous()
        and not tensor.requires_grad
        and not tensor.is_neg()
    )


def packed(value: Any) -> Message:
    """A value as it is sent.

    Raises:
        InputError: It cannot be.
    """
    stream, beside = io.BytesIO(), list[pickle.PickleBuffer]()
    try:
        _Pickler(stream, pickle.HIGHEST_PROTOCOL, buffer_callback=beside.append).dump(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"the model or the loss cannot be sent to other processes ({first_line(error)}); "
            "define it with def or class at the top of a module, or use one process"
        ) from error
    return [stream.getvalue(), *(buffer.raw() for buffer in beside)]


def write(connection: Connection, message: Message) -> None:
    """Send."""
    connection.send(len(message))
    for part in message:
        connection.send_bytes(part)


def read(connection: Connection) -> Any:
    """Wait for a value."""
    pickled, *beside = (connection.recv_bytes() for _ in range(connection.recv()))
    # Of a kind that may be written to, as the memory of a tensor has to be.
    return pickle.loads(pickled, buffers=map(bytearray, beside))
