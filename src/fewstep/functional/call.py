"""A model, and its loss, as pure functions of their tensors.

MAML differentiates through a gradient, so each operation of the model has to have a right second
derivative. Where PyTorch's own has none, another stands in for it (`fewstep.functional.overrides`)
while the model is called, without a change to the user's module.
"""

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.functional.batch_norm import (
    InTraining,
    Statistics,
    by_own_statistics,
    in_elementary_operations,
    recording,
    replaying,
)
from fewstep.functional.guards import CheckpointingError, layer_at_fault
from fewstep.functional.layer_modes import LayerModes, attributes_of
from fewstep.functional.loss import loss_module, reached_by
from fewstep.functional.overrides import EAGER, TRACEABLE, Overrides, TwiceDifferentiable
from fewstep.functional.swapped import Layout, Params, Swapped
from fewstep.ops.fuse import fused_forward
from fewstep.tasks import Inputs, fresh, map_tensors

LOSS = "loss."  # begins the names of the parameters of a loss


def trainable(module: nn.Module) -> Params:
    """Return the parameters that require a gradient, by name; one that is tied appears once.

    >>> list(trainable(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def functional_call(model: nn.Module, params: Params, x: Inputs) -> Any:
    """Call a model with other tensors; the result is exact when it is differentiated twice.

    It is `torch.func.functional_call` for inner loops: operations without a right second
    derivative are computed by others, batch norm in training mode uses the statistics of ``x``
    alone, and the model stays as it is, buffers included. Differentiate by `torch.autograd.grad`;
    `torch.func.vmap` over tasks is fine. For many calls make a `PureModel` once.

    Args:
        model: Any module.
        params: Parameters and buffers by name; a name that is missing keeps the model's tensor, and
            what is tied has any of its names.
        x: ``[examples, ...]``; a tuple is given as ``model(*x)``, a dict as ``model(**x)``.

    Raises:
        InputError: The model uses activation checkpointing, or hides a parameter; there is no such
            name, or two of one tensor have different tensors.

    >>> model = nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
    >>> x = torch.linspace(-1, 1, 10)[:, None]
    >>> start = trainable(model)
    >>> loss = (functional_call(model, start, x) - x.sin()).square().mean()
    >>> gradient = torch.autograd.grad(loss, list(start.values()), create_graph=True)
    >>> adapted = {n: p - 0.1 * g for (n, p), g in zip(start.items(), gradient)}
    >>> (functional_call(model, adapted, x) - x.sin()).square().mean().backward()
    >>> model[0].weight.grad.shape
    torch.Size([8, 1])
    """
    pure = PureModel(model)
    params = pure.by_first_names(params)
    for name in params.keys() - pure.tensors.keys():
        near = difflib.get_close_matches(name, pure.tensors, n=1) or list(pure.tensors)[:1]
        raise InputError(
            f"the model has no parameter or buffer {name!r}; give one of its "
            f"{len(pure.tensors)} names, such as {', '.join(map(repr, near))}"
        )
    return pure(params, x)


def call_model(model: Callable[..., Any], x: Inputs) -> Any:
    """Call a model with a tensor, the tensors of a tuple, or those of a dict by name."""
    if isinstance(x, Tensor):
        return model(x)
    return model(**x) if isinstance(x, dict) else model(*x)


class PureModel:
    """A model, and perhaps the loss, with all their tensors given from outside.

    Whatever they write to buffers and attributes is dropped after each call, so nothing of one
    reaches the next; and the user's modules are left as they are, bit for bit. One thread at a
    time may call a model.

    Args:
        model: Any module.
        loss: Where it is a module, its parameters are given too, under names that begin with
            ``loss.``.
        modes: Of the layers while they are called.
        copies_inputs: Whether it or the loss changes what it is called with, and so is given
            copies.
        replaced: Other ``forward`` functions for some of the model's parts, by their names.

    Attributes:
        tensors: All parameters and buffers by name.
        buffers: The names of those that are buffers.
        by_first_names: Returns parameters that are given by any of their names by that in
            ``tensors``.

    >>> pure = PureModel(nn.Linear(2, 1))
    >>> pure({"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, torch.tensor([[3.0, 4.0]]))
    tensor([[7.]])
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Any] | None = None,
        *,
        modes: LayerModes = "own",
        copies_inputs: bool = False,
        replaced: dict[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        module = loss_module(loss, model)
        modules = {"": model} if module is None else {"": model, LOSS: module}
        self._layout = Layout(modules, reached_by(loss))
        self.tensors, self.buffers = self._layout.tensors, self._layout.buffers
        self.by_first_names = self._layout.by_first_names
        self._copies_inputs = copies_inputs
        for slot in self._layout.slots:
            slot.entries.update(attributes_of(slot.part, modes))
        for name, forward in (replaced or {}).items():
            part = model.get_submodule(name)
            next(s for s in self._layout.slots if s.part is part).entries["forward"] = forward
        self._fused: dict[bool, dict[int, dict[str, Any]]] = {}

    @property
    def modes(self) -> list[tuple[nn.Module, bool]]:
        """All parts, and whether each is in training mode while it is called."""
        return [(s.part, s.entries.get("training", s.part.training)) for s in self._layout.slots]

    @contextmanager
    def having(
        self,
        params: Params,
        batch_norm: InTraining | None = None,
        *,
        fused: bool = False,
        inputs_repeat: bool = False,
        overrides: Overrides = EAGER,
    ) -> Iterator[None]:
        """Let the model have these tensors inside, where `predict` and the loss are then called.

        Args:
            params: As for `functional_call`.
            batch_norm: How batch norm in training mode normalises; by the batch alone unless given.
            fused: Whether to compute blocks of layers at once.
            inputs_repeat: Whether it is called with the same examples more than once.
            overrides: What stands in for functions of PyTorch.
        """
        entries = self._fused_entries(inputs_repeat) if fused else {}
        mode = TwiceDifferentiable(batch_norm or by_own_statistics, overrides)
        with Swapped(self._layout, self.by_first_names(params), entries), mode:
            try:
                yield
            except CheckpointingError as error:
                raise InputError(
                    f"{layer_at_fault(error)} uses activation checkpointing, which would compute "
                    "again with other parameters on the way back; leave it out: "
                    'memory="flat" saves memory too'
                ) from error

    def predict(self, x: Inputs) -> Any:
        """Predict for ``x``, ``[examples, ...]``; to be called inside `having`."""
        x = fresh(x)
        return call_model(self.model, map_tensors(torch.clone, x) if self._copies_inputs else x)

    def target(self, y: Tensor) -> Tensor:
        """Return the targets ``y`` to give to a loss: a copy where the loss may change them."""
        return y.clone() if self._copies_inputs else y

    def __call__(self, params: Params, x: Inputs) -> Any:
        """Predict for ``x`` with these tensors; batch norm in training mode sees ``x`` alone."""
        with self.having(params):
            return self.predict(x)

    @contextmanager
    def inductive(self, params: Params, support_x: Inputs) -> Iterator[None]:
        """Let, like `having`, batch norm normalise by the statistics of ``support_x``.

        What is predicted inside for one example does not depend on the others.
        """
        statistics: Statistics = {}
        lasting = set(map(id, (*self.tensors.values(), *params.values())))
        with self.having(params, recording(statistics, lasting)):
            self.predict(support_x)
        with self.having(params, replaying(statistics, lasting)):
            yield

    @contextmanager
    def traceable(self, tensors: Params) -> Iterator[None]:
        """Enter `having` for a compiler: all tensors are given, and buffers may be written to."""
        with self.having(tensors, in_elementary_operations, overrides=TRACEABLE):
            yield

    def _fused_entries(self, inputs_repeat: bool) -> dict[int, dict[str, Any]]:
        if inputs_repeat not in self._fused:
            self._fused[inputs_repeat] = {
                number: {"forward": forward}
                for number, slot in enumerate(self._layout.slots)
                if "forward" not in slot.entries
                and (forward := fused_forward(slot.part, inputs_repeat))
            }
        return self._fused[inputs_repeat]
