"""Warnings of the library for people, as lines that a command tells."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told_warnings() -> Iterator[list[str]]:
    """Gather what is warned inside, each once; what is meant for programmers goes on."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            yield told
        finally:
            found = list(caught)
    for one in found:
        if one.category is not UserWarning:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif str(one.message) not in told:
            told.append(str(one.message))
