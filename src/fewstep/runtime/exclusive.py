"""One computation at a time, whatever the number of threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exclusive() -> Iterator[None]:
    """Let no other thread compute with any learner, and have gradients inside.

    While a model is called, its parameters are others, and PyTorch's generators are seeded for a
    task: what one thread has put in place another would find.
    """
    with _state.lock:
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            yield
        else:
            with torch.inference_mode(False), torch.enable_grad():
                yield


class _State:
    lock = threading.RLock()


_state = _State()


def _renew() -> None:
    # The thread that held it may not be there in a process that was forked.
    _state.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
