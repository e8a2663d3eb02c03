"""Values as they are sent from one process to another."""

import io
import pickle
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from fewstep.errors import InputError, first_line


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        # PyTorch would copy more than once, and the whole memory of which this may be a part.
        if type(value) is Tensor:
            # NumPy has not all kinds of tensors.
            with suppress(TypeError, RuntimeError):
                if value.is_contiguous():
                    return torch.from_numpy, (value.numpy(),)
        return NotImplemented


def packed(value: Any) -> bytes:
    """Return a value as it is sent.

    Raises:
        InputError: It cannot be.
    """
    stream = io.BytesIO()
    try:
        _Pickler(stream, pickle.HIGHEST_PROTOCOL).dump(value)
    except Exception as error:
        # Whatever a user's object raises that has no pickle.
        raise InputError(
            f"the model or the loss cannot be sent to other processes ({_cause(error)}); define it "
            "with def or class at the top of a module, without torch.jit and parametrizations, or "
            "use one process, workers=1"
        ) from error
    return stream.getvalue()


def unpacked(message: bytes) -> Any:
    """Return the value that was packed.

    Raises:
        InputError: It means nothing here.
    """
    try:
        return pickle.loads(message)
    except Exception as error:
        raise InputError(
            f"what was sent from one process to another cannot be read there ({_cause(error)}); "
            "see that it can be pickled and lies at the top of a module that can be imported, or "
            "use one process, workers=1"
        ) from error


def packed_error(error: Exception) -> bytes:
    """Return the outcome of a job that failed: an error of the same class and text, if possible.

    Of what has no pickle the text is kept, as an `InputError` or a RuntimeError.
    """
    for sent in (error, _Plain(error, vars(error)), _Plain(error, {})):
        with suppress(InputError):
            message = packed((None, sent))
            _, arrived = unpacked(message)
            if type(arrived) is type(error) and str(arrived) == str(error):
                return message
    if isinstance(error, InputError):
        return packed((None, InputError(str(error))))
    return packed((None, RuntimeError(f"{type(error).__name__}: {error}")))


class _Plain:
    """Arrives as an error that its own constructor, which may take anything, did not make."""

    def __init__(self, error: Exception, attributes: dict[str, Any]) -> None:
        self._parts = error.__new__, (type(error), *error.args), attributes

    def __reduce__(self) -> tuple[Any, ...]:
        return self._parts


def _cause(error: Exception) -> str:
    return first_line(error) or type(error).__name__
