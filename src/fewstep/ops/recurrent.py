"""Recurrent layers, of one task or of all at once.

A direction of a layer is one operation with two derivatives of its own; PyTorch's fused kernels
have one, and its plain form goes through each of its many small operations three times.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._decomp import decompositions

from fewstep.ops import recurrence
from fewstep.ops.recurrent_cells import CELLS
from fewstep.ops.third import second_gradient_of
from fewstep.ops.vmap import under_vmap, with_task_dim
from fewstep.runtime.modes import at_least_float32

Function = Callable[..., Any]


def recurrent(function: Function, written_out: Function, kind: str) -> Function:
    """Compute a function such as ``torch.lstm``.

    Packed sequences and projections have PyTorch's plain form; where oneDNN is off, it has a second
    derivative.
    """

    def layers(*args: Any) -> Any:
        flat = [part for arg in args for part in (arg if isinstance(arg, list | tuple) else (arg,))]
        several = under_vmap(*(part for part in flat if isinstance(part, Tensor)))
        # Of a packed sequence the lengths come second, and so the weights fourth.
        if not isinstance(args[3], bool):
            if several:
                raise RuntimeError("it has a packed sequence, whose lengths are not those of all")
            return function(*args)
        _, hx, _, _, number, dropout, training, *_ = args
        if several and dropout and training and number > 1:
            raise RuntimeError("it draws random numbers")
        if kind == "lstm" and hx[0].shape[-1] != hx[1].shape[-1]:
            return written_out(*args) if several else function(*args)
        return _layers(kind, *args)

    return layers


def _layers(
    kind: str,
    x: Tensor,
    hx: Any,
    weights: Any,
    has_biases: bool,
    number: int,
    dropout: float,
    training: bool,
    both_ways: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    hx = hx if isinstance(hx, list | tuple) else (hx,)
    first = torch.stack(list(hx), -2)
    y = x.transpose(0, 1) if batch_first else x
    own, last = 4 if has_biases else 2, []
    directions = 2 if both_ways else 1
    for layer in range(number):
        if layer and dropout and training:
            y = torch.dropout(y, dropout, True)
        results = []
        for direction in range(directions):
            place = layer * directions + direction
            w_x, w_h, *biases = weights[own * place : own * (place + 1)]
            b_x, b_h = biases or (None, w_h.new_zeros(len(w_h)))
            of_x = F.linear(y, w_x, b_x)
            turned = of_x.flip(0) if direction else of_x
            given = map(at_least_float32, (turned, first[place], w_h, b_h))
            states = _of_tasks(kind, *given).to(first.dtype)
            last.append(states[-1])
            results.append(states[..., 0, :].flip(0) if direction else states[..., 0, :])
        y = torch.cat(results, -1)
    y = y.transpose(0, 1) if batch_first else y
    return y, *torch.stack(last).unbind(-2)


def _of_tasks(kind: str, *tensors: Tensor) -> Tensor:
    """``[time, examples, states, hidden]`` of a task."""

    def apply(*stacked: Tensor) -> Tensor:
        result: Tensor = _Recurrence.apply(kind, *stacked)
        return result.transpose(0, 1)

    if under_vmap(*tensors):
        return with_task_dim(apply, *tensors)
    return apply(*(t.unsqueeze(0) for t in tensors)).squeeze(0)


def _plain(kind: str, x: Tensor, s0: Tensor, w: Tensor, b: Tensor) -> Tensor:
    cell, s, states = CELLS[kind], s0, []
    for xt in x.unflatten(-1, (CELLS[kind].gates, -1)).unbind(1):
        p = torch.baddbmm(b.unsqueeze(1), s[..., 0, :], w.mT)
        s = cell.step(xt, p.unflatten(-1, (cell.gates, -1)), s)
        states.append(s)
    return torch.stack(states)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(kind: str, *inputs: Tensor) -> Tensor:
        return recurrence.recurrence(kind, *inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.kind, *tensors = inputs
        ctx.save_for_backward(*tensors, output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        *inputs, states = ctx.saved_tensors
        return None, *_Gradient.apply(ctx.kind, g, *inputs, states.detach())[:-1]


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(kind: str, *inputs: Tensor) -> Any:
        return recurrence.gradient(kind, *inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.kind, *tensors = inputs
        ctx.mark_non_differentiable(output[-1])
        ctx.save_for_backward(*tensors, output[-1])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        g, *inputs, states, d = ctx.saved_tensors
        given = cotangents[:-1]
        if torch.is_grad_enabled():
            found = second_gradient_of(partial(_plain, ctx.kind), inputs, g, given)
        else:
            found = recurrence.second_gradient(ctx.kind, *given, *inputs, states, d)
        return None, *found, None


RECURRENT = {
    function: recurrent(function, getattr(decompositions, name), function.__name__)
    for function, name in (
        (torch.lstm, "lstm_impl"),
        (torch.gru, "gru_impl"),
        (torch.rnn_tanh, "rnn_tanh_input"),
        (torch.rnn_relu, "rnn_relu_input"),
    )
}
"""By what it replaces; to be called where oneDNN is off, which has no second derivative."""
