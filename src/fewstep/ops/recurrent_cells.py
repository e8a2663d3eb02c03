"""One time step of recurrent layers, with its first and second derivatives, number by number.

The state s is h, or h and c; x are the projected inputs of the gates and p = h W^T + b. All tensors
are ``[..., gates or states, hidden]``, of one time step or of all of them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Bend(NamedTuple):
    """Gradients of a step's derivative with respect to x, p and the state before."""

    x: Tensor
    p: Tensor
    s: Tensor


class Cell(Protocol):
    """A kind of recurrent layer.

    Attributes:
        gates: How many parts x and p have.
        states: How many the state has, of which h is the first.
    """

    gates: int
    states: int

    def step(self, x: Tensor, p: Tensor, s: Tensor, /) -> Tensor:
        """The state after a step."""
        ...

    def slopes(self, x: Tensor, p: Tensor, s: Tensor, /) -> tuple[Tensor, Tensor]:
        """The derivatives of each state after a step by x, and by p and the state before.

        They are ``[..., states, gates, hidden]`` and ``[..., states, gates + states, hidden]``.
        """
        ...

    def bend(
        self, x: Tensor, p: Tensor, s: Tensor, d: Tensor, ux: Tensor, up: Tensor, us: Tensor, /
    ) -> Bend:
        """The gradients of d . (derivative of the step along ux, up and us)."""
        ...


class Plain:
    """``nn.RNN``: h' = f(x + p)."""

    gates, states = 1, 1

    def __init__(self, by_tanh: bool) -> None:
        self._by_tanh = by_tanh

    def step(self, x: Tensor, p: Tensor, _: Tensor) -> Tensor:
        """The same as in `Cell`."""
        return (x + p).tanh() if self._by_tanh else (x + p).relu()

    def slopes(self, x: Tensor, p: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """The same as in `Cell`."""
        by_x = self._slope(self.step(x, p, s)).unsqueeze(-3)
        return by_x, torch.cat((by_x, torch.zeros_like(by_x)), -2)

    def bend(
        self, x: Tensor, p: Tensor, s: Tensor, d: Tensor, ux: Tensor, up: Tensor, _: Tensor
    ) -> Bend:
        """The same as in `Cell`."""
        h = self.step(x, p, s)
        curve = -2 * h * self._slope(h) if self._by_tanh else torch.zeros_like(h)
        by_x = d * curve * (ux + up)
        return Bend(by_x, by_x, torch.zeros_like(s))

    def _slope(self, h: Tensor) -> Tensor:
        return 1 - h * h if self._by_tanh else h.sign()


class LSTM:
    """``nn.LSTM``: c' = f c + i g, h' = o tanh(c'), with i, f, o sigmoids and g a tanh of x + p."""

    gates, states = 4, 2

    def step(self, x: Tensor, p: Tensor, s: Tensor) -> Tensor:
        """The same as in `Cell`."""
        i, f, g, o = self._activations(x, p)
        c = f * s[..., 1, :] + i * g
        return torch.stack((o * c.tanh(), c), -2)

    def slopes(self, x: Tensor, p: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """The same as in `Cell`."""
        i, f, g, o = self._activations(x, p)
        c = s[..., 1, :]
        k = (f * c + i * g).tanh()
        m = o * (1 - k * k)
        of_c = (g * i * (1 - i), c * f * (1 - f), i * (1 - g * g))
        none = torch.zeros_like(f)
        of_h = (*(m * t for t in of_c), k * o * (1 - o), none, m * f)
        rows = (torch.stack(row, -2) for row in (of_h, (*of_c, none, none, f)))
        by_p_and_s = torch.stack(list(rows), -3)
        return by_p_and_s[..., :4, :], by_p_and_s

    def bend(
        self, x: Tensor, p: Tensor, s: Tensor, d: Tensor, ux: Tensor, up: Tensor, us: Tensor
    ) -> Bend:
        """The same as in `Cell`."""
        i, f, g, o = self._activations(x, p)
        ui, uf, ug, uo = (ux + up).unbind(-2)
        c, uc = s[..., 1, :], us[..., 1, :]
        dh, dc = d.unbind(-2)
        k = (f * c + i * g).tanh()
        # Slopes of the activations.
        i1, f1, g1, o1, k1 = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o), 1 - k * k
        along_c = g * i1 * ui + c * f1 * uf + i * g1 * ug + f * uc
        by_next_c = dh * k1 * (o1 * uo - 2 * k * o * along_c)
        of_c = dc + dh * o * k1
        gates = (
            by_next_c * g * i1 + of_c * i1 * (g * (1 - 2 * i) * ui + g1 * ug),
            by_next_c * c * f1 + of_c * f1 * (c * (1 - 2 * f) * uf + uc),
            by_next_c * i * g1 + of_c * g1 * (i1 * ui - 2 * g * i * ug),
            dh * o1 * (k1 * along_c + k * (1 - 2 * o) * uo),
        )
        by_x = torch.stack(gates, -2)
        by_c = by_next_c * f + of_c * f1 * uf
        return Bend(by_x, by_x, torch.stack((torch.zeros_like(by_c), by_c), -2))

    @staticmethod
    def _activations(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        i, f, g, o = (x + p).unbind(-2)
        return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


class GRU:
    """``nn.GRU``: h' = z h + (1 - z) n, with n = tanh(x_n + r p_n) and r, z sigmoids of x + p."""

    gates, states = 3, 1

    def step(self, x: Tensor, p: Tensor, s: Tensor) -> Tensor:
        """The same as in `Cell`."""
        _, z, n = self._activations(x, p)
        return ((s[..., 0, :] - n) * z + n).unsqueeze(-2)

    def slopes(self, x: Tensor, p: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """The same as in `Cell`."""
        r, z, n = self._activations(x, p)
        by_n = (1 - z) * (1 - n * n)
        both = (by_n * p[..., 2, :] * r * (1 - r), (s[..., 0, :] - n) * z * (1 - z))
        by_x, by_p_and_s = (torch.stack(t, -2) for t in ((*both, by_n), (*both, by_n * r, z)))
        return by_x.unsqueeze(-3), by_p_and_s.unsqueeze(-3)

    def bend(
        self, x: Tensor, p: Tensor, s: Tensor, d: Tensor, ux: Tensor, up: Tensor, us: Tensor
    ) -> Bend:
        """The same as in `Cell`."""
        r, z, n = self._activations(x, p)
        ur, uz, _ = (ux + up).unbind(-2)
        h, uh, d, pn, upn = (t.squeeze(-2) for t in (s, us, d, p[..., 2:, :], up[..., 2:, :]))
        r1, z1, n1 = r * (1 - r), z * (1 - z), 1 - n * n
        un = ux[..., 2, :] + r * upn + pn * r1 * ur
        by_z = d * z1 * ((h - n) * (1 - 2 * z) * uz - n1 * un + uh)
        by_n = -d * n1 * (z1 * uz + 2 * (1 - z) * n * un)
        of_n = d * (1 - z) * n1
        by_r = r1 * (by_n * pn + of_n * (upn + pn * (1 - 2 * r) * ur))
        by_x = torch.stack((by_r, by_z, by_n), -2)
        by_p = torch.stack((by_r, by_z, by_n * r + of_n * r1 * ur), -2)
        return Bend(by_x, by_p, (d * z1 * uz).unsqueeze(-2))

    @staticmethod
    def _activations(x: Tensor, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r, z = (x[..., :2, :] + p[..., :2, :]).sigmoid().unbind(-2)
        return r, z, (x[..., 2, :] + r * p[..., 2, :]).tanh()


CELLS: dict[str, Cell] = {
    "lstm": LSTM(),
    "gru": GRU(),
    "rnn_tanh": Plain(by_tanh=True),
    "rnn_relu": Plain(by_tanh=False),
}
"""By the names of PyTorch's functions."""
