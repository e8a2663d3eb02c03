"""A recurrent layer in one direction and its derivatives, for all tasks at once.

With s_t for the state after time step t, of which h_t is the first part, W and b for the weights
of the recurrence and `Cell` for what is done with each number,

    p_t = h_{t-1} W^T + b,    s_t = step(x_t, p_t, s_{t-1}).

The gradient goes through time backwards. It is linear in the cotangents d_t of the s_t, whose
factors, the slopes, are those of all time steps at once; so are the gradients of x, W and b once
the d_t are known. The second derivative is the same twice: the transpose of that, which goes
forwards and is the derivative of s_t along u, and then again backwards, with what the curvature
(`Cell.bend`) and the products with W add at each time step.

Each of the three is one operation to a compiler, which would otherwise write out every time step.

Shapes: x ``[tasks, time, examples, gates * hidden]``, s0 ``[tasks, examples, states, hidden]``, w
``[tasks, gates * hidden, hidden]``, b ``[tasks, gates * hidden]``; states and their cotangents
``[time, tasks, examples, states, hidden]``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from fewstep.ops.recurrent_cells import CELLS, Cell

_ROWS = torch.contiguous_format


@custom_op("fewstep::recurrence", mutates_args=())
def recurrence(kind: str, x: Tensor, s0: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """The states after each time step."""
    cell = CELLS[kind]
    states = s0.new_empty(x.shape[1], *s0.shape)
    s, bias, turned = s0, b.unsqueeze(1), w.mT
    with torch.autocast(x.device.type, enabled=False):
        for t, xt in enumerate(_by_time(x, cell)):
            p = torch.baddbmm(bias, s[..., 0, :], turned)
            states[t] = cell.step(xt, p.unflatten(-1, (cell.gates, -1)), s)
            s = states[t]
    return states


@custom_op("fewstep::recurrence_gradient", mutates_args=())
def gradient(
    kind: str, g: Tensor, x: Tensor, s0: Tensor, w: Tensor, b: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of x, s0, w and b, and the cotangents d of all states."""
    cell = CELLS[kind]
    with torch.autocast(x.device.type, enabled=False):
        inputs = _inputs(cell, x, s0, w, b, states)
        by_x, by_p_and_s = cell.slopes(*inputs)
        d, of_s0, _ = _backwards(
            by_p_and_s,
            g.clone(memory_format=_ROWS),
            torch.zeros_like(s0, memory_format=_ROWS),
            w,
            None,
        )
        of_p = _times(d, by_p_and_s[..., : cell.gates, :])
        of_w = _over_time(of_p).mT @ _over_time(inputs[2][..., :1, :])
        return _as_x(_times(d, by_x)), of_s0, of_w, _over_time(of_p).sum(1), d


@custom_op("fewstep::recurrence_second_gradient", mutates_args=())
def second_gradient(
    kind: str,
    ux: Tensor,
    us0: Tensor,
    uw: Tensor,
    ub: Tensor,
    x: Tensor,
    s0: Tensor,
    w: Tensor,
    b: Tensor,
    states: Tensor,
    d: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of g, x, s0, w and b, of cotangents of the gradients of x, s0, w and b."""
    cell = CELLS[kind]
    gates = cell.gates
    with torch.autocast(x.device.type, enabled=False):
        inputs = _inputs(cell, x, s0, w, b, states)
        before = inputs[2]
        by_x, by_p_and_s = cell.slopes(*inputs)
        h, of_p = before[..., :1, :], _times(d, by_p_and_s[..., :gates, :])
        along_x = _by_time(ux, cell)
        u, of_g = _forwards(
            by_p_and_s,
            (by_x * along_x.unsqueeze(-3)).sum(-2),
            _product(h, uw.mT, gates) + ub.unflatten(-1, (gates, -1)).unsqueeze(1),
            us0,
            w,
        )
        bend = cell.bend(*inputs, d, along_x, u[..., :gates, :], u[..., gates:, :])
        of_states = bend.s
        of_states[..., :1, :] += _product(of_p, uw, 1)
        # What the first time step's share is of belongs to s0.
        more = torch.cat((of_states[1:], torch.zeros_like(of_states[:1])))
        e, of_s0, along_p = _backwards(by_p_and_s, more, of_states[0].clone(), w, bend.p.clone())
        assert along_p is not None
        of_w = _over_time(along_p).mT @ _over_time(h)
        of_w += _over_time(of_p).mT @ _over_time(u[..., gates : gates + 1, :])
        of_x = _as_x(bend.x + _times(e, by_x))
        return of_g, of_x, of_s0, of_w, _over_time(along_p).sum(1)


def _inputs(
    cell: Cell, x: Tensor, s0: Tensor, w: Tensor, b: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """x, p and the state before, of all time steps."""
    before = torch.cat((s0.unsqueeze(0), states[:-1]))
    p = _product(before[..., :1, :], w.mT, cell.gates)
    return _by_time(x, cell), p + b.unflatten(-1, (cell.gates, -1)).unsqueeze(1), before


def _backwards(
    by_p_and_s: Tensor, d: Tensor, of_s0: Tensor, w: Tensor, more: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Add to cotangents of the states, in place, those of later time steps.

    Args:
        by_p_and_s: The slopes.
        d: The cotangents.
        of_s0: That of the first state.
        w: The weights.
        more: Further cotangents of p, which are added to.

    Returns:
        ``d``, ``of_s0`` and ``more``.
    """
    gates = by_p_and_s.shape[-2] - by_p_and_s.shape[-3]
    for t in reversed(range(len(d))):
        back = _times(d[t], by_p_and_s[t])
        of_p = back[..., :gates, :]
        if more is not None:
            of_p = more[t].add_(of_p)
        earlier = d[t - 1] if t else of_s0
        earlier += back[..., gates:, :]
        earlier[..., 0, :] += of_p.flatten(-2) @ w
    return d, of_s0, more


def _forwards(
    by_p_and_s: Tensor, along_x: Tensor, along_p: Tensor, us0: Tensor, w: Tensor
) -> tuple[Tensor, Tensor]:
    """Derivatives along given directions: of all p with the states before, and of the states."""
    states, both = by_p_and_s.shape[-3:-1]
    gates = both - states
    u = by_p_and_s.new_empty(*along_p.shape[:-2], both, along_p.shape[-1])
    results, before, turned = torch.empty_like(along_x), us0, w.mT
    for t in range(len(along_x)):
        of_h = (before[..., 0, :] @ turned).unflatten(-1, (gates, -1))
        torch.add(along_p[t], of_h, out=u[t][..., :gates, :])
        u[t][..., gates:, :] = before
        torch.add(along_x[t], (by_p_and_s[t] * u[t].unsqueeze(-3)).sum(-2), out=results[t])
        before = results[t]
    return u, results


def _times(d: Tensor, slopes: Tensor) -> Tensor:
    """The cotangents of a step's inputs, by those of its states."""
    return (slopes * d.unsqueeze(-2)).sum(-3)


def _product(a: Tensor, matrix: Tensor, parts: int) -> Tensor:
    """``[time, tasks, examples, parts of it, hidden]`` times a matrix for each task."""
    result = (_over_time(a) @ matrix).unflatten(1, (len(a), -1)).transpose(0, 1)
    return result.unflatten(-1, (parts, -1))


def _over_time(a: Tensor) -> Tensor:
    """``[tasks, time * examples, ...]`` in one dimension."""
    return a.flatten(-2).transpose(0, 1).flatten(1, 2)


def _by_time(x: Tensor, cell: Cell) -> Tensor:
    return x.transpose(0, 1).unflatten(-1, (cell.gates, -1))


def _as_x(a: Tensor) -> Tensor:
    return a.flatten(-2).transpose(0, 1).contiguous()


@recurrence.register_fake
def _(*inputs: Any) -> Tensor:
    _, x, s0, *_ = inputs
    made: Tensor = s0.new_empty(x.shape[1], *s0.shape)
    return made


@gradient.register_fake
def _(*inputs: Any) -> tuple[Tensor, ...]:
    _, g, x, s0, w, b, _ = inputs
    return tuple(t.new_empty(t.shape) for t in (x, s0, w, b, g))


@second_gradient.register_fake
def _(*inputs: Any) -> tuple[Tensor, ...]:
    x, s0, w, b, _, d = inputs[5:]
    return tuple(t.new_empty(t.shape) for t in (d, x, s0, w, b))
