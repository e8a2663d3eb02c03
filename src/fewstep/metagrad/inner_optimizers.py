"""Inner optimisers: each a pair of pure functions, ``init`` and ``update``, as in optax.

A pair of your own works on every path of execution, and is differentiated through. Here is the
second moment of RMSProp, without momentum:

>>> import torch
>>> def init(params):
...     return {name: torch.zeros_like(value) for name, value in params.items()}
>>> def update(gradients, squares, step):
...     squares = {n: 0.9 * squares[n] + 0.1 * g.square() for n, g in gradients.items()}
...     return {n: g / (squares[n] + 1e-6).sqrt() for n, g in gradients.items()}, squares
>>> from fewstep import MAML
>>> learner = MAML(torch.nn.Linear(3, 2), inner_lr=0.01, inner_optimizer=(init, update))
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils import _pytree as pytree

from fewstep.errors import InputError, UnsuitableError, first_line, let_out_of_memory_through
from fewstep.functional.swapped import Params

VELOCITY_DECAY = 0.9
ADAM_DECAYS = (0.9, 0.999)
ADAM_EPSILON = 1e-5  # larger than usual: 1 / epsilon is the derivative where all is rounding


class InnerOptimizer(NamedTuple):
    """Makes the steps of one task from its gradients. It starts every task anew.

    Attributes:
        init: ``init(params) -> slots``: what is carried from step to step, before the first:
            floating-point tensors in dicts, tuples or lists; ``()`` for nothing.
        update: ``update(gradients, slots, step) -> (updates, slots)``: what is subtracted from
            each parameter, times its step size, and the slots for the next step. ``step`` counts
            from 0. Both dicts are ``{parameter name: tensor}``.
    """

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, int], tuple[Params, Any]]

    def over_tasks(self) -> "InnerOptimizer":
        """The same for tensors that have the task in front; refuses what cannot be vectorised."""
        if self in INNER_OPTIMIZERS.values():
            # They treat each number alone.
            return self

        def init(params: Params) -> Any:
            return _vectorised(self.init, params)

        def update(gradients: Params, slots: Any, step: int) -> tuple[Params, Any]:
            return _vectorised(lambda g, s: self.update(g, s, step), gradients, slots)  # type: ignore[no-any-return]

        return InnerOptimizer(init, update)


def inner_optimizer(given: object, params: Params) -> InnerOptimizer:
    """The optimiser of a name, or a user's own pair, tried once on the parameters that adapt."""
    if isinstance(given, str) and given in INNER_OPTIMIZERS:
        return INNER_OPTIMIZERS[given]
    if not (isinstance(given, tuple) and len(given) == 2 and all(map(callable, given))):
        raise InputError(
            f"inner_optimizer is {given!r}; expected one of {', '.join(INNER_OPTIMIZERS)}, or a "
            "pair of functions (init, update)"
        )
    optimizer = InnerOptimizer(*given)
    _try(optimizer, {name: value.detach().clone() for name, value in params.items()})
    return optimizer


def _sgd(gradients: Params, slots: Any, _: int) -> tuple[Params, Any]:
    return gradients, slots


def _momentum(gradients: Params, velocity: Params, _: int) -> tuple[Params, Params]:
    velocity = {name: VELOCITY_DECAY * velocity[name] + g for name, g in gradients.items()}
    return velocity, velocity


def _adam(gradients: Params, slots: tuple[Params, Params], step: int) -> tuple[Params, Any]:
    means, squares = slots
    found = {n: _adam_of_one(g, step, means[n], squares[n]) for n, g in gradients.items()}
    updates, *moments = ({name: row[i] for name, row in found.items()} for i in range(3))
    return updates, tuple(moments)


def _adam_of_one(gradient: Tensor, step: int, mean: Tensor, square: Tensor) -> tuple[Tensor, ...]:
    """Kingma and Ba 2015, Algorithm 1, with epsilon inside the root.

    The root of zero has no finite derivative, and the gradient of a dead unit is exactly zero. The
    real and the imaginary part of a complex number are two numbers.
    """
    if gradient.is_complex():
        parts = map(torch.view_as_real, (gradient, mean, square))
        return tuple(map(torch.view_as_complex, _adam_of_one(next(parts), step, *parts)))
    first, second = ADAM_DECAYS
    mean = first * mean + (1 - first) * gradient
    square = second * square + (1 - second) * gradient.square()
    root = (square / (1 - second ** (step + 1)) + ADAM_EPSILON**2).sqrt()
    return mean / (1 - first ** (step + 1)) / root, mean, square


def _nothing(_: Params) -> Any:
    return ()


def _zeros(params: Params) -> Params:
    return {name: torch.zeros_like(value) for name, value in params.items()}


def _two_zeros(params: Params) -> tuple[Params, Params]:
    return _zeros(params), _zeros(params)


# Functions with names, which can be sent to other processes.
SGD = InnerOptimizer(_nothing, _sgd)
INNER_OPTIMIZERS = {
    "sgd": SGD,
    "momentum": InnerOptimizer(_zeros, _momentum),
    "adam": InnerOptimizer(_two_zeros, _adam),
}


def _vectorised(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return vmap(function)(*arguments)
    except RuntimeError as error:
        let_out_of_memory_through(error)
        raise UnsuitableError(
            f"the inner optimiser cannot be vectorised over tasks ({first_line(error)}); use "
            'execution="loop"'
        ) from error


def _try(optimizer: InnerOptimizer, params: Params) -> None:
    """See that a user's pair keeps to its contract, by one step of gradients of ones."""
    slots = _call("init(params)", optimizer.init, params)
    held, form = pytree.tree_flatten(slots)
    for value in held:
        if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
            told = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise _wrong("init(params)", f"returned slots with a {told}", "floating-point tensors")
    gradients = {name: torch.ones_like(value) for name, value in params.items()}
    given = pytree.tree_map(lambda value: value.detach().requires_grad_(), (gradients, slots))
    # PyTorch refuses to change them in place.
    returned = _call(_UPDATE, optimizer.update, *given, 0)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise _wrong(_UPDATE, f"returned a {type(returned).__name__}", "the pair (updates, slots)")
    updates, after = returned
    if not isinstance(updates, dict) or updates.keys() != params.keys():
        names = f"{list(updates)}" if isinstance(updates, dict) else f"a {type(updates).__name__}"
        raise _wrong(_UPDATE, f"returned updates of {names}", f"a dict of {list(params)}")
    for name, value in params.items():
        if _form(updates[name]) != _form(value):
            raise _wrong(_UPDATE, f"returned {_form(updates[name])} for {name!r}", _form(value))
    held_after, form_after = pytree.tree_flatten(after)
    if form_after != form or [t.shape for t in held_after] != [t.shape for t in held]:
        raise _wrong(_UPDATE, "returned other slots than it was given", "the same form and shapes")
    if params and not any(value.requires_grad for value in updates.values()):
        raise _wrong(
            _UPDATE,
            "returned updates that have lost the way back to the gradients",
            'no detach, .data or no_grad in it; order="first" drops derivatives',
        )


_UPDATE = "update(gradients, slots, step)"


def _call(signature: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        with torch.enable_grad():
            return function(*arguments)
    except Exception as error:
        let_out_of_memory_through(error)
        failed = f"failed ({type(error).__name__}: {first_line(error)})"
        raise _wrong(signature, failed, "a pure function of these arguments") from error


def _wrong(signature: str, told: str, expected: str) -> InputError:
    return InputError(f"{signature} of inner_optimizer {told}; expected {expected}")


def _form(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"{list(value.shape)} of {value.dtype}"
