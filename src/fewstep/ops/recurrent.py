"""Recurrent layers, for all tasks at once too: PyTorch's own are written in place, against vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decompositions

from fewstep.ops.vmap import under_vmap

Function = Callable[..., Any]


def recurrent(function: Function, written_out: Function) -> Function:
    """Compute a function such as ``torch.lstm``, under vmap as PyTorch's compiler writes it out."""

    def layers(*args: Any) -> Any:
        flat = [part for arg in args for part in (arg if isinstance(arg, list | tuple) else (arg,))]
        if not under_vmap(*(part for part in flat if isinstance(part, Tensor))):
            return function(*args)
        # Of a packed sequence the lengths come second, and so the weights fourth.
        if not isinstance(args[3], bool):
            raise RuntimeError("it has a packed sequence, whose lengths are not those of all tasks")
        _, _, _, _, number, dropout, training, *_ = args
        if dropout and training and number > 1:
            # What is written out would leave dropout out.
            raise RuntimeError("it draws random numbers")
        return written_out(*args)

    return layers


RECURRENT = {
    function: recurrent(function, getattr(decompositions, name))
    for function, name in (
        (torch.lstm, "lstm_impl"),
        (torch.gru, "gru_impl"),
        (torch.rnn_tanh, "rnn_tanh_input"),
        (torch.rnn_relu, "rnn_relu_input"),
    )
}
"""By what it replaces; to be called where oneDNN is off, which has no second derivative."""
