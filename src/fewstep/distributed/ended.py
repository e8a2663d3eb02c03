"""The end of one rank, as the others learn of it by a store that all can read."""

import pickle
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch.distributed import Store  # type: ignore[attr-defined]

from fewstep.errors import InputError

_COUNT, _ERROR = "fewstep/ended", "fewstep/error"


def leave(store: Store, error: BaseException) -> bool:
    """Leave an error to the other ranks, if none did before; whether it is the first."""
    with suppress(RuntimeError):
        if store.add(_COUNT, 1) > 1:
            return False
        where = "".join(traceback.format_exception(error))
        sent = _sendable(error), error.__cause__ and _sendable(error.__cause__), where
        store.set(_ERROR, pickle.dumps(sent))  # type: ignore[arg-type] # it takes bytes
    return True


@contextmanager
def all_there(store: Store | None) -> Iterator[None]:
    """Raise the error by which another rank ended, where that breaks what is done together."""
    try:
        yield
    except RuntimeError as broken:
        # Or whoever keeps the error would keep the group, with its threads.
        broken.__traceback__ = None
        error, cause = _left(store) or (InputError(_GONE), broken)
        raise error from cause


_GONE = (
    "one of the ranks ended before its work was done, perhaps for lack of memory; use fewer of "
    "them (--workers, --nproc-per-node)"
)


def _left(store: Store | None) -> tuple[BaseException, BaseException | None] | None:
    """The error that was left, if there is one, and what caused it."""
    with suppress(RuntimeError):
        if store is not None and store.check([_ERROR]):
            error, cause, where = pickle.loads(store.get(_ERROR))
            if not isinstance(error, InputError):
                error.add_note(f"in another rank:\n{where}")
            return error, cause
    return None


def _sendable(error: BaseException) -> BaseException:
    """The error itself where it arrives as it is, else one of the same text."""
    with suppress(Exception):
        arrived = pickle.loads(pickle.dumps(error))
        if (type(arrived), str(arrived)) == (type(error), str(error)):
            return error
    if isinstance(error, InputError):
        return InputError(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")
