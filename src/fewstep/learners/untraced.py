"""Methods that ``torch.compile`` leaves as they are, though what calls them is compiled."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def untraced(method: Callable[P, R]) -> Callable[P, R]:
    """A method that is called, and not traced, from what ``torch.compile`` traces.

    Learners differentiate by themselves, look at numbers and keep random states, which no trace
    holds; what can be compiled of them their own ``compile`` does.
    """

    @wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            kept: Callable[P, R] = torch.compiler.disable(method)  # type: ignore[no-untyped-call]
            return kept(*args, **kwargs)
        return method(*args, **kwargs)

    return called
