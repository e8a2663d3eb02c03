"""One task after another by compiled functions: the inner gradient and the query loss.

Every derivative of the mathematics is taken inside a compiled function, and a compiled function is
itself differentiated once at most: a second derivative across its border would be wrong or refused.
"""

import secrets
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from fewstep.errors import UnsuitableError
from fewstep.execution.looped import Looped, SeedAt
from fewstep.functional.structure import Latest
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn
from fewstep.metagrad.objective import Objective, QueryOutput, Traceable
from fewstep.runtime.compile_cache import CompiledFunctions, Function, signature
from fewstep.runtime.modes import autocast
from fewstep.runtime.rng import generator_state, preserve_rng_state, reseed
from fewstep.tasks import Inputs, map_tensors, tensors_of


class Compiler:
    """The compiled functions of one learner, and the latest objectives that they were used for.

    A copy in another process keeps its own, by the learner's identity.
    """

    def __init__(self, identity: str | None = None) -> None:
        self.functions = CompiledFunctions()
        # Of tasks without padding, and with it.
        self.latest: tuple[Latest[Objective], Latest[Objective]] = (Latest(), Latest())
        self._identity = identity or secrets.token_hex(8)

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self._identity,)


_all_received: dict[str, Compiler] = {}


def _received(identity: str) -> Compiler:
    return _all_received.setdefault(identity, Compiler(identity))


class Compiled(Looped):
    """Computes a meta-batch task by task, with functions compiled once for each shape."""

    def _grad_fn(self, x: Inputs, y: Tensor, seed_at: SeedAt) -> GradFn:
        assert self.objective.traceable is not None
        return _CompiledGradFn(self.objective.traceable, x, y, seed_at)

    def _query_output(self, params: Params, support_x: Inputs, x: Inputs, y: Tensor) -> QueryOutput:
        traceable = self.objective.traceable
        assert traceable is not None
        # Evaluating without a gradient is not worth code of its own.
        if not traceable.by_query or not torch.is_grad_enabled():
            return super()._query_output(params, support_x, x, y)

        def compute(_: Params, x: Inputs, y: Tensor) -> tuple[Tensor, ...]:
            prediction = traceable.pure.predict(x)
            needed = self.objective.metrics.needed(prediction)
            return traceable.loss(prediction, traceable.pure.target(y)), *needed

        loss, *needed = _call(traceable, ("query",), compute, params, x, y)
        return loss, needed, []


class _CompiledGradFn(GradFn):
    """The gradient of one task's support loss, which can be differentiated once more."""

    def __init__(self, traceable: Traceable, x: Inputs, y: Tensor, seed_at: SeedAt) -> None:
        self.batched = False
        self._traceable, self._x, self._y, self._seed_at = traceable, x, y, seed_at

    def __call__(
        self, params: Params, step: int, create_graph: bool, adapting: Sequence[str] | None = None
    ) -> Params:
        names = list(params) if adapting is None else adapting
        traceable = self._traceable

        def compute(everything: Params, x: Inputs, y: Tensor) -> tuple[Tensor, ...]:
            value = traceable.loss(traceable.pure.predict(x), traceable.pure.target(y))
            inputs = [everything[name] for name in names]
            return torch.autograd.grad(value, inputs, create_graph=True, materialize_grads=True)

        reseed(self._seed_at(step))
        found = _call(traceable, ("support", *names), compute, params, self._x, self._y)
        return {n: g if create_graph else g.detach() for n, g in zip(names, found, strict=True)}


def _call(
    traceable: Traceable,
    kind: tuple[str, ...],
    compute: Callable[[Params, Inputs, Tensor], tuple[Tensor, ...]],
    params: Params,
    x: Inputs,
    y: Tensor,
) -> tuple[Tensor, ...]:
    """Call, compiled, a function of all tensors of the model and of some examples."""
    pure = traceable.pure
    fixed = {n: v.detach() for n, v in pure.tensors.items() if n not in params}
    names, inputs = [*params, *fixed], tensors_of(x)
    buffers = [name for name in names if name in pure.buffers]

    def function(y: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        given = iter(values)
        x_given = map_tensors(lambda _: next(given), x)
        everything = dict(zip(names, given, strict=True))
        everything |= {name: everything[name].clone() for name in buffers}
        with autocast(traceable.precision, y.device), pure.traceable(everything):
            return compute(everything, x_given, y)

    arguments = (y, *inputs, *params.values(), *fixed.values())
    assert traceable.functions is not None
    key = ((kind, tuple(params), signature(*arguments), traceable.modes), traceable.kind)
    about = f"{kind[0]} sets of {list(inputs[0].shape)}"
    with torch.enable_grad():
        return compiled(traceable.functions, key, function, arguments, about)(*arguments)


def compiled(
    functions: CompiledFunctions,
    key: tuple[Hashable, Hashable],
    function: Function,
    arguments: tuple[Tensor, ...],
    about: str,
    single_thread: bool = False,
) -> Function:
    """A compiled function, as of `CompiledFunctions.get`, which draws no random numbers.

    Raises:
        UnsuitableError: It cannot be compiled, of which ``functions`` have warned.
    """
    if key not in functions and not functions.given_up:
        with preserve_rng_state():
            # A model on a GPU may draw on the CPU, too.
            devices = {torch.device("cpu"), arguments[0].device}
            before = [generator_state(device) for device in devices]
            function(*arguments)
            after = [generator_state(device) for device in devices]
            draws = not all(map(torch.equal, before, after))
        if draws:
            functions.give_up("random layers are not compiled: they would draw other numbers")
    found = functions.get(key, function, arguments, about, single_thread)
    if found is None:
        raise UnsuitableError(f"{about} cannot be computed by compiled functions")
    return found
