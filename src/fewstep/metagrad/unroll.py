"""The meta-gradient: the derivative of the query loss through the inner loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from fewstep.errors import InputError, first_line
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, adapt, as_leaf_tensors
from fewstep.ops.vmap import sums_suffice

Order = Literal["exact", "first"]
Memory = Literal["fast", "flat"]


class QueryResult(NamedTuple):
    """How adapted parameters do on the query set.

    Attributes:
        losses: ``[tasks]``, the query loss of each task.
        metrics: ``{name: [tasks]}``, how well each task is solved.
        statistics: ``[tasks, ...]``, what batch norm saw of the query set; None where nobody asks.
    """

    losses: Tensor
    metrics: dict[str, Tensor]
    statistics: Tensor | None = None

    @property
    def scores(self) -> Tensor:
        """``[tasks]``, the first metric."""
        return next(iter(self.metrics.values()))


EvaluateQuery = Callable[[Params], QueryResult]


class Gradient(NamedTuple):
    """What tasks contribute to an outer step.

    Attributes:
        query: The losses that were differentiated, and the metrics after the last step, without
            a graph. Its statistics are ``[tasks, steps + 1, ...]``.
        gradient: Derivative of the sum of the losses with respect to all that is meta-learned.
    """

    query: QueryResult
    gradient: Params


def last_only(steps: int) -> list[float]:
    """The importances of MAML: only the loss after the last step counts."""
    return [0.0] * steps + [1.0]


def through_inner_loop(order: Order, memory: Memory) -> Callable[..., Gradient]:
    """`unrolled` or `recomputed`; dropping the derivative needs little memory anyway."""
    if order == "exact" and memory == "flat":
        return recomputed
    return partial(unrolled, order=order)


def unrolled(
    loop: InnerLoop,
    grad_fn: GradFn,
    evaluate_query: EvaluateQuery,
    learned: Params,
    *,
    order: Order = "exact",
    importances: Sequence[float] | None = None,
    record: bool = False,
) -> Gradient:
    """Differentiate through the whole inner loop at once (MAML, equation 1).

    Memory grows with the steps: the graph of each inner step is kept until the way back.

    Args:
        loop: The inner loop.
        grad_fn: The gradient of the support loss.
        evaluate_query: The query losses and metrics.
        learned: All that is meta-learned.
        order: ``"exact"``, or ``"first"`` to drop the inner gradient's own derivative (FOMAML).
        importances: ``steps + 1`` weights of the query losses after 0, 1, ... steps; the loss is
            their weighted sum (MAML++, equation 2). Only the last counts unless given.
        record: Whether the statistics are wanted of every step, and not only where a loss counts.
    """
    start = as_leaf_tensors(learned)
    weights = importances or last_only(loop.steps)
    state = loop.init(start)
    results = []
    for step in range(loop.steps):
        results.append(
            _evaluate(evaluate_query, loop.model_params(start, state, step), weights[step], record)
        )
        state = loop.step(grad_fn, start, state, step, create_graph=order == "exact")
    query = evaluate_query(loop.model_params(start, state, loop.steps))
    total = _weighted([*results, query], weights)
    return Gradient(detached(total), _pull_back([total.losses.sum()], start))


def recomputed(
    loop: InnerLoop,
    grad_fn: GradFn,
    evaluate_query: EvaluateQuery,
    learned: Params,
    *,
    importances: Sequence[float] | None = None,
    record: bool = False,
) -> Gradient:
    """The same exact gradient in the memory of one inner step.

    Only the state of each step is kept. On the way back each step but the last is done once more
    and differentiated alone: with v_s the derivative of the loss with respect to state s,
    v_s = (d state_{s+1} / d state_s)^T v_{s+1}, plus that of the query loss there. What is
    meta-learned collects a share of its gradient at each step (the idea of MixFlow-MG, Kemaev et
    al. 2025, arXiv 2505.00793).

    Args:
        loop: The inner loop.
        grad_fn: The gradient of the support loss. It has to give the same value again for the same
            arguments.
        evaluate_query: The query losses and metrics.
        learned: All that is meta-learned.
        importances: As in `unrolled`.
        record: As in `unrolled`.
    """
    if not loop.steps:
        return unrolled(
            loop, grad_fn, evaluate_query, learned, importances=importances, record=record
        )
    start = as_leaf_tensors(learned)
    weights = importances or last_only(loop.steps)
    path = list(adapt(loop, grad_fn, learned, loop.steps - 1))
    results: list[QueryResult | None] = []
    gradient = {name: torch.zeros_like(value) for name, value in start.items()}
    cotangent: Params = {}
    for step in reversed(range(loop.steps)):
        before = path.pop()
        after = loop.step(grad_fn, start, before, step, create_graph=True)
        outputs, cotangents = list(after.values()), list(cotangent.values())
        if not cotangent:
            last = evaluate_query(loop.model_params(start, after, loop.steps))
            results.append(detached(last))
            outputs, cotangents = [last.losses.sum() * weights[-1]], [last.losses.new_ones(())]
        here = _evaluate(
            evaluate_query, loop.model_params(start, before, step), weights[step], record
        )
        results.append(here and detached(here))
        if here and weights[step]:
            outputs.append(here.losses.sum() * weights[step])
            cotangents.append(here.losses.new_ones(()))
        inputs = {**{_STATE + name: value for name, value in before.items()}, **start}
        pulled = _pull_back(outputs, inputs, cotangents)
        cotangent = {name: pulled[_STATE + name] for name in before}
        gradient = {name: value + pulled[name] for name, value in gradient.items()}
    for name in loop.adapting:
        gradient[name] = gradient[name] + cotangent[name]
    return Gradient(detached(_weighted(results[::-1], weights)), gradient)


_STATE = "state/"


def _evaluate(
    evaluate_query: EvaluateQuery, params: Params, weight: float, record: bool
) -> QueryResult | None:
    """The query result where it counts, without a graph where only its statistics are wanted."""
    if weight:
        return evaluate_query(params)
    if record:
        with torch.no_grad():
            return evaluate_query(params)
    return None


def _weighted(results: Sequence[QueryResult | None], weights: Sequence[float]) -> QueryResult:
    """The weighted losses, the last metrics, and the statistics of all."""
    last = results[-1]
    assert last is not None
    counted = [w * j.losses for w, j in zip(weights, results, strict=True) if w and j]
    losses = torch.stack(counted).sum(0)
    seen = [j.statistics for j in results if j is not None and j.statistics is not None]
    return QueryResult(losses, last.metrics, torch.stack(seen, 1) if seen else None)


def _pull_back(
    outputs: list[Tensor], inputs: Params, cotangents: list[Tensor] | None = None
) -> Params:
    """The products of ``cotangents`` with the derivatives of ``outputs``, summed, by input.

    Of an input that tasks share, the gradients of each are right in their sum alone.
    """
    try:
        with sums_suffice():
            gradients = torch.autograd.grad(
                outputs, list(inputs.values()), cotangents, materialize_grads=True
            )
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_SECOND_DERIVATIVE):
            raise
        raise InputError(
            "an operation of the model or of the loss has no second derivative "
            f"({first_line(error)}); write it out in operations that have one, or use "
            'order="first"'
        ) from error
    return dict(zip(inputs, gradients, strict=True))


_NO_SECOND_DERIVATIVE = (
    "derivative for",
    "once_differentiable",
    "differentiable twice",
    "double backward",
)


def detached(query: QueryResult) -> QueryResult:
    """The same without a graph."""
    losses, metrics, statistics = query
    return QueryResult(
        losses.detach(), metrics, None if statistics is None else statistics.detach()
    )
