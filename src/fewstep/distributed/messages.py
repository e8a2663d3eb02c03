"""Values on their way from one process to another."""

from __future__ import annotations

import io
import mmap
import multiprocessing
import os
import pickle
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor

from fewstep.errors import InputError, first_line

Message = list[bytes | bytearray | memoryview]
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
    except Exception as error:
        # Whatever a user's object raises that has no pickle.
        raise InputError(
            f"the model or the loss cannot be sent to other processes ({_cause(error)}); define it "
            "with def or class at the top of a module, without torch.jit and parametrizations, or "
            "use one process, workers=1"
        ) from error
    return [stream.getvalue(), *(buffer.raw() for buffer in beside)]


def unpacked(message: Message) -> Any:
    """The value that was packed.

    Raises:
        InputError: It means nothing here.
    """
    pickled, *beside = message
    try:
        return pickle.loads(pickled, buffers=beside)
    except Exception as error:
        raise InputError(
            f"what was sent from one process to another cannot be read there ({_cause(error)}); "
            "see that it can be pickled and lies at the top of a module that can be imported, or "
            "use one process, workers=1"
        ) from error


def packed_error(error: Exception) -> Message:
    """The outcome of a job that failed: an error of the same class and text, where that can be.

    Of what has no pickle the text is kept, as an `InputError` or a RuntimeError.
    """
    for sent in (error, _Plain(error, vars(error)), _Plain(error, {})):
        try:
            message = packed((None, sent))
            arrived = unpacked(message)[1]
        except InputError:
            continue
        if type(arrived) is type(error) and str(arrived) == str(error):
            return message
    if isinstance(error, InputError):
        return packed((None, InputError(str(error))))
    return packed((None, RuntimeError(f"{type(error).__name__}: {error}")))


class _Plain:
    """Arrives as an error that its own constructor, which may take anything, did not make."""

    def __init__(self, error: Exception, attributes: dict[str, Any]) -> None:
        self._parts = type(error), error.args, attributes

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, self._parts


def _made(kind: type[Exception], args: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *args)
    vars(error).update(attributes)
    return error


def _cause(error: Exception) -> str:
    return first_line(error) or type(error).__name__


class Channel:
    """One end of a pipe, with memory that both processes see.

    A pipe takes large tensors in hundreds of pieces, for each of which both processes wake up;
    through the memory they go in one. The two ends take turns, as question and answer, and only
    processes that are forked share it; others use the pipe alone.

    Args:
        connection: The pipe.
        memory: As long as the longest message so far; None for none.
    """

    def __init__(self, connection: Connection, memory: mmap.mmap | None) -> None:
        self._connection = connection
        self._memory = memory

    def write(self, message: Message) -> None:
        """Send."""
        lengths = list(map(len, message))
        if self._memory is None:
            self._connection.send(lengths)
            for part in message:
                self._connection.send_bytes(part)
            return
        _grow(self._memory, lengths)
        self._memory.seek(0)
        for part in message:
            self._memory.write(part)
        self._connection.send(lengths)

    def read(self) -> Message:
        """Wait for a message."""
        # Of a kind that may be written to, as the memory of a tensor has to be.
        return [bytearray(part) for part in self._parts(self._connection.recv())]

    def poll(self, seconds: float) -> bool:
        """Wait a while; whether there is something to read."""
        return self._connection.poll(seconds)

    def close(self) -> None:
        """Let go of both."""
        self._connection.close()
        self._memory = None

    def _parts(self, lengths: list[int]) -> Iterator[bytes | memoryview]:
        if self._memory is None:
            yield from (self._connection.recv_bytes() for _ in lengths)
            return
        _grow(self._memory, lengths)
        first = 0
        with memoryview(self._memory) as whole:
            for length in lengths:
                with whole[first : first + length] as part:
                    yield part
                first += length


def _grow(memory: mmap.mmap, lengths: list[int]) -> None:
    if len(memory) < sum(lengths):
        memory.resize(sum(lengths))


def both_ends() -> tuple[Channel, Channel]:
    """Of a channel; the second is for a process that is not yet started."""
    here, there = multiprocessing.Pipe()
    if not hasattr(os, "memfd_create"):
        return Channel(here, None), Channel(there, None)
    file = os.memfd_create("fewstep")
    try:
        os.truncate(file, mmap.PAGESIZE)
        memory = mmap.mmap(file, mmap.PAGESIZE)
    finally:
        os.close(file)
    return Channel(here, memory), Channel(there, memory)
