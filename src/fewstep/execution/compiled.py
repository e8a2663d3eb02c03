"""A learner's functions, compiled: the inner gradient, the query loss, or the whole meta-gradient.

Every derivative of the mathematics is taken inside a compiled function, and a compiled function is
itself differentiated once at most: a second derivative across its border would be wrong or refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fewstep.functional.call import PureModel
from fewstep.functional.structure import Latest, settings
from fewstep.functional.swapped import Params
from fewstep.metagrad.metrics import Metrics
from fewstep.runtime.compile_cache import CompiledFunctions, Function, signature
from fewstep.runtime.modes import Precision, autocast
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import Inputs, map_tensors, tensors_of

Loss = Callable[[Any, Tensor], Tensor]

MOST_OPERATIONS = 400
"""Of a meta-gradient that is compiled whole, by default; more would take minutes to compile."""
WORTH_TWO_THREADS = 512 * 2**10
"""Bytes that autograd keeps of one inner step of all tasks.

Measured on two cores: below, the second saves a tenth at best, and costs up to half where the host
lets both share one core.
"""


class Size(NamedTuple):
    """Of a meta-gradient.

    Attributes:
        operations: How many, about.
        kept: Bytes that autograd keeps of one inner step.
    """

    operations: int
    kept: int


class Compiler:
    """The compiled functions of one learner. Where it is sent to another process, it keeps those.

    Args:
        identity: Of the learner, in all processes; a new one unless given.

    Attributes:
        functions: What was compiled.
        latest: The latest objective that they were used for.
    """

    def __init__(self, identity: str | None = None) -> None:
        self.functions = CompiledFunctions()
        self.latest: Latest[Any] = Latest()
        self._identity = identity or secrets.token_hex(8)

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (self._identity,)


_all_received: dict[str, Compiler] = {}


def _received(identity: str) -> Compiler:
    return _all_received.setdefault(identity, Compiler(identity))


@dataclass(frozen=True, eq=False)
class Compiled:
    """What a compiler has for a model as it is now.

    Each method returns None where there is no compiled function.

    Attributes:
        compiler: Keeps the functions.
        loss: Of (prediction, target).
        pure: The model, whose weights are taken where none are given.
        metrics: What is told of predictions.
        by_query: Whether batch norm uses the statistics of the query set; only then is the query
            loss compiled.
        precision: Of the model's own computation.
    """

    compiler: Compiler
    loss: Loss
    pure: PureModel
    metrics: Metrics
    by_query: bool
    precision: Precision

    def gradient(
        self, params: Params, x: Inputs, y: Tensor, adapting: Sequence[str]
    ) -> Params | None:
        """The gradient of one task's support loss, which can be differentiated once more.

        Args:
            params: What the model consists of.
            x: ``[examples, ...]``, the support set.
            y: ``[examples, ...]``, its targets.
            adapting: With respect to which of ``params``.
        """

        def compute(everything: Params, x: Inputs, y: Tensor) -> tuple[Tensor, ...]:
            with autocast(self.precision, y.device), self.pure.traceable(everything):
                value = self.loss(self.pure.predict(x), self.pure.target(y))
            inputs = [everything[name] for name in adapting]
            return torch.autograd.grad(value, inputs, create_graph=True, materialize_grads=True)

        found = self._call(("gradient", *adapting), "support", compute, params, x, y)
        return None if found is None else dict(zip(adapting, found, strict=True))

    def evaluate_query(
        self, params: Params, x: Inputs, y: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]] | None:
        """The loss of one task's query set, which can be differentiated; as an `Objective` does.

        Args:
            params: Adapted.
            x: ``[examples, ...]``, the query set.
            y: ``[examples, ...]``, its targets.
        """
        if not self.by_query:
            return None

        def compute(everything: Params, x: Inputs, y: Tensor) -> tuple[Tensor, ...]:
            with autocast(self.precision, y.device), self.pure.traceable(everything):
                prediction = self.pure.predict(x)
                needed = self.metrics.needed(prediction)
                loss = self.loss(prediction, self.pure.target(y))
            return loss, *needed

        found = self._call("evaluate_query", "query", compute, params, x, y)
        return None if found is None else (found[0], list(found[1:]), [])

    def whole(
        self,
        function: Function,
        settings: Hashable,
        size: Callable[[], Size],
        arguments: tuple[Tensor, ...],
    ) -> tuple[Tensor, ...] | None:
        """The meta-gradient of several tasks by one function, without a graph.

        Args:
            function: Of all tensors that the result depends on, so that a model with buffers or
                with weights that stay fixed has none.
            settings: What else decides the result.
            size: How large it is, which is asked before it is compiled.
            arguments: Of the function; the first has the tasks in front.
        """
        if not self._learned_alone:
            return None
        key = ("whole", settings, self.by_query, signature(*arguments), self._kind)
        functions = self.compiler.functions
        alone = False
        if key not in functions and not functions.given_up:
            operations, kept = size()
            if operations > MOST_OPERATIONS:
                return None
            alone = kept < WORTH_TWO_THREADS
        with torch.no_grad():
            return self._run(key, function, arguments, f"{len(arguments[0])} tasks at once", alone)

    def _call(
        self,
        what: Hashable,
        examples: str,
        compute: Callable[[Params, Inputs, Tensor], tuple[Tensor, ...]],
        params: Params,
        x: Inputs,
        y: Tensor,
    ) -> tuple[Tensor, ...] | None:
        fixed = {n: v.detach() for n, v in self.pure.tensors.items() if n not in params}
        names, inputs = [*params, *fixed], tensors_of(x)
        buffers = [name for name in names if name in self.pure.buffers]

        def function(y: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
            given = iter(values)
            x_given = map_tensors(lambda _: next(given), x)
            everything = dict(zip(names, given, strict=True))
            return compute(everything | {n: everything[n].clone() for n in buffers}, x_given, y)

        arguments = (y, *inputs, *params.values(), *fixed.values())
        key = (what, tuple(params), signature(*arguments), self._kind)
        about = f"{examples} sets of {list(inputs[0].shape)}"
        with torch.enable_grad():
            return self._run(key, function, arguments, about)

    def _run(
        self,
        key: Hashable,
        function: Function,
        arguments: tuple[Tensor, ...],
        about: str,
        alone: bool = False,
    ) -> tuple[Tensor, ...] | None:
        functions = self.compiler.functions
        new = key not in functions and not functions.given_up
        if new and _draws(lambda: function(*arguments)):
            functions.give_up("random layers are not compiled: they would draw other numbers")
        compiled = functions.get(key, function, arguments, about, alone)
        return None if compiled is None else compiled(*arguments)

    @property
    def _learned_alone(self) -> bool:
        learned = all(tensor.requires_grad for tensor in self.pure.tensors.values())
        return learned and not self.pure.buffers

    @cached_property
    def _kind(self) -> Hashable:
        """The layers with their settings, the loss, and the precision."""
        layers = tuple(
            (type(part), training or type(part) in _WITHOUT_MODES, settings(part))
            for part, training in self.pure.modes
        )
        return layers, self.precision, self.loss


def _draws(function: Callable[[], object]) -> bool:
    """Whether a function draws random numbers."""
    with preserve_rng_state(torch.device("cpu")):
        before = torch.get_rng_state()
        function()
        return not torch.equal(torch.get_rng_state(), before)


_WITHOUT_MODES = (
    *(nn.Sequential, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Flatten, nn.LayerNorm, nn.GroupNorm),
    *(nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Embedding),
)
"""Judging puts all layers into eval mode; for these alone nothing has to be compiled again."""
