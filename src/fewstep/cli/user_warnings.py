"""Warnings of the library for people, as lines that a command tells."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from fewstep.errors import InputError


@contextmanager
def told_warnings() -> Iterator[list[str]]:
    """Gather what is warned inside, each once; what is meant for programmers goes on."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield told
        except InputError as error:
            of_users = [str(one.message) for one in caught if one.category is UserWarning]
            if not of_users:
                raise
            # The likely cause, such as another unit.
            raise InputError(f"{error}; of the rows: {of_users[0]}") from error
    for one in caught:
        if one.category is not UserWarning:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif str(one.message) not in told:
            told.append(str(one.message))
