"""The end of one rank, as the others learn of it."""

import pickle
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import torch.distributed as dist

from fewstep.errors import InputError

_COUNT, _ERROR = "fewstep/ended", "fewstep/error"


class Claims:
    """Which rank failed first, and by what: that one tells, and the others end because of it."""

    def __init__(self, store: dist.Store) -> None:
        self._store = store

    def claim(self, error: BaseException) -> bool:
        """Leave an error to the other ranks, if none did before; whether it is the first."""
        with suppress(RuntimeError):
            if self._store.add(_COUNT, 1) > 1:
                return False
            self._store.set(_ERROR, _packed(error))
        return True

    def cause(self) -> BaseException | None:
        """The error that was left, if there is one."""
        with suppress(RuntimeError):
            if self._store.check([_ERROR]):
                error, cause, told = pickle.loads(self._store.get(_ERROR))
                error.__cause__ = cause
                error.add_note(f"in another rank:\n{told}")
                return cast(BaseException, error)
        return None


@contextmanager
def all_there(claims: Claims | None) -> Iterator[None]:
    """Raise the error by which another rank ended, where that breaks what is done together."""
    try:
        yield
    except RuntimeError as broken:
        cause = claims.cause() if claims else None
        if cause is not None:
            raise cause from cause.__cause__
        raise InputError(
            "one of the ranks ended before its work was done, perhaps for lack of memory; use "
            "fewer of them (--workers, --nproc-per-node)"
        ) from broken


def _packed(error: BaseException) -> bytes:
    """An error, what caused it, and where it came about."""
    cause = None if error.__cause__ is None else _sendable(error.__cause__)
    where = "".join(traceback.format_exception(error))
    return pickle.dumps((_sendable(error), cause, where))


def _sendable(error: BaseException) -> Any:
    """An error of the same class and text where it has a pickle; else one of the same text."""
    for sent in (error, _Plain(error)):
        with suppress(Exception):
            arrived = pickle.loads(pickle.dumps(sent))
            if (type(arrived), str(arrived)) == (type(error), str(error)):
                return sent
    if isinstance(error, InputError):
        return InputError(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")


class _Plain:
    """Arrives as an error that its own constructor, which may take anything, did not make."""

    def __init__(self, error: BaseException) -> None:
        self._parts = error.__new__, (type(error), *error.args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._parts
