"""The meta-gradient: the derivative of the query loss through the inner loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fewstep.choices import Memory, Order
from fewstep.errors import InputError, first_line
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, adapt, as_leaf_tensors
from fewstep.metagrad.objective import EvaluateQuery, QueryResult
from fewstep.ops.vmap import sums_suffice


class Gradient(NamedTuple):
    """The share of one task, or of several at once, in an outer step.

    Attributes:
        query: The losses that were differentiated, and the metrics after the last step, without
            a graph. Its statistics are ``[tasks, steps + 1, ...]``.
        gradient: Derivative of the sum of the losses with respect to all that is meta-learned.
    """

    query: QueryResult
    gradient: Params


GradientRule = Callable[[GradFn, EvaluateQuery, Params], Gradient]
"""Which gradient an outer step is made along, from all that is meta-learned.

Rules are frozen dataclasses, and so the key of what is compiled for one.
"""


@dataclass(frozen=True)
class ThroughInnerLoop:
    """The derivative of the weighted query losses through the inner loop.

    Attributes:
        importances: ``steps + 1`` weights of the query losses after 0, 1, ... steps; the loss is
            their weighted sum (MAML++, equation 2).
        record: Whether the statistics are wanted of every step, and not only where a loss counts.
        order: ``"exact"``, or ``"first"`` to drop the inner gradient's own derivative (FOMAML).
        memory: ``"flat"`` takes the same exact gradient in the memory of one inner step.
    """

    loop: InnerLoop
    importances: tuple[float, ...]
    record: bool = False
    order: Order = "exact"
    memory: Memory = "fast"

    @property
    def of_last_loss(self) -> bool:
        """Whether nothing but the query loss after the last step is wanted."""
        return not any(self.importances[:-1]) and not self.record

    def __call__(self, grad_fn: GradFn, evaluate_query: EvaluateQuery, learned: Params) -> Gradient:
        """The gradient; of first order it needs little memory anyway."""
        if self.order == "exact" and self.memory == "flat" and self.loop.steps:
            return self._recomputed(grad_fn, evaluate_query, learned)
        return self._unrolled(grad_fn, evaluate_query, learned)

    def _unrolled(
        self, grad_fn: GradFn, evaluate_query: EvaluateQuery, learned: Params
    ) -> Gradient:
        """Differentiate through the whole inner loop at once (MAML, equation 1).

        Memory grows with the steps: the graph of each inner step is kept until the way back.
        """
        loop, exact = self.loop, self.order == "exact"
        start = as_leaf_tensors(learned)
        state = loop.init(start, batched=grad_fn.batched)
        results = []
        for step in range(loop.steps):
            results.append(self._evaluate(evaluate_query, start, state.params, step))
            state = loop.step(grad_fn, start, state, step, create_graph=exact)
        query = evaluate_query(loop.model_params(start, state.params, loop.steps))
        total = _weighted([*results, query], self.importances)
        gradients = _pull_back([total.losses.sum()], list(start.values()))
        return Gradient(total.detach(), dict(zip(start, gradients, strict=True)))

    def _recomputed(
        self, grad_fn: GradFn, evaluate_query: EvaluateQuery, learned: Params
    ) -> Gradient:
        """Differentiate each inner step alone, of one step or more.

        Only the state of each step is kept. On the way back each step but the last is done once
        more: with v_s the derivative of the loss with respect to state s,
        v_s = (d state_{s+1} / d state_s)^T v_{s+1}, plus that of the query loss there. What is
        meta-learned collects a share of its gradient at each step (the idea of MixFlow-MG, Kemaev
        et al. 2025, arXiv 2505.00793). The gradient of the support loss has to be the same again
        for the same arguments.
        """
        loop, weights = self.loop, self.importances
        start = as_leaf_tensors(learned)
        inputs = list(start.values())
        path = list(adapt(loop, grad_fn, learned, loop.steps - 1))
        results: list[QueryResult | None] = []
        gradient = [torch.zeros_like(value) for value in inputs]
        cotangents: list[Tensor] = []
        for step in reversed(range(loop.steps)):
            before = path.pop()
            after = loop.step(grad_fn, start, before, step, create_graph=True)
            outputs = pytree.tree_leaves(after)
            if not results:
                last = evaluate_query(loop.model_params(start, after.params, loop.steps))
                results.append(last.detach())
                outputs, cotangents = [last.losses.sum() * weights[-1]], [last.losses.new_ones(())]
            here = self._evaluate(evaluate_query, start, before.params, step)
            results.append(here and here.detach())
            if here and weights[step]:
                outputs.append(here.losses.sum() * weights[step])
                cotangents.append(here.losses.new_ones(()))
            held = pytree.tree_leaves(before)
            pulled = _pull_back(outputs, [*held, *inputs], cotangents)
            cotangents = pulled[: len(held)]
            gradient = [g + p for g, p in zip(gradient, pulled[len(held) :], strict=True)]
        first = pytree.tree_leaves(loop.init(start, batched=grad_fn.batched))
        pulled = _pull_back(first, inputs, cotangents)
        gradient = [g + p for g, p in zip(gradient, pulled, strict=True)]
        total = _weighted(results[::-1], weights)
        return Gradient(total.detach(), dict(zip(start, gradient, strict=True)))

    def _evaluate(
        self, evaluate_query: EvaluateQuery, learned: Params, adapted: Params, step: int
    ) -> QueryResult | None:
        """The result where it counts, without a graph where only its statistics are wanted."""
        if not self.importances[step] and not self.record:
            return None
        with torch.set_grad_enabled(self.importances[step] != 0):
            return evaluate_query(self.loop.model_params(learned, adapted, step))


def last_only(steps: int) -> tuple[float, ...]:
    """The importances of MAML: only the loss after the last step counts."""
    return (*[0.0] * steps, 1.0)


def _weighted(results: Sequence[QueryResult | None], weights: Sequence[float]) -> QueryResult:
    """The weighted losses, the last metrics, and the statistics of all."""
    last = results[-1]
    assert last is not None
    counted = [w * r.losses for w, r in zip(weights, results, strict=True) if w and r]
    rows = [r.statistics for r in results if r is not None and r.statistics is not None]
    return QueryResult(
        torch.stack(counted).sum(0), last.metrics, torch.stack(rows, 1) if rows else None
    )


def _pull_back(
    outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Tensor] | None = None
) -> list[Tensor]:
    """The products of ``cotangents`` with the derivatives of ``outputs``, summed, by input.

    Of an input that tasks share, the gradients of each are right in their sum alone. Autograd has
    no argument for that, so convolutions ask `fewstep.ops.vmap` on the way back: for 32 tasks of
    Conv-4 this saves 4% of an outer step.
    """
    if cotangents is not None:
        # A slot may be a constant.
        pairs = zip(outputs, cotangents, strict=True)
        outputs, cotangents = map(list, zip(*(p for p in pairs if p[0].requires_grad), strict=True))
    try:
        with sums_suffice():
            return list(torch.autograd.grad(outputs, inputs, cotangents, materialize_grads=True))
    except RuntimeError as error:
        if not any(words in str(error) for words in _UNDERIVABLE):
            raise
        raise InputError(
            "an operation of the model or of the loss has no second derivative "
            f"({first_line(error)}); write it out in operations that have one, or use "
            'order="first"'
        ) from error


_UNDERIVABLE = ("derivative for", "once_differentiable", "differentiable twice", "double backward")
