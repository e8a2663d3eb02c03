"""The meta-gradient: the derivative of the query loss through the inner loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from fewstep.errors import InputError, first_line
from fewstep.functional import Params
from fewstep.inner import Slope, adapt, inner_step, leaves

Order = Literal["exact", "first"]
Memory = Literal["fast", "flat"]


class Judgement(NamedTuple):
    """How adapted parameters do on the query set.

    Attributes:
        losses: ``[tasks]``, the query loss of each task.
        scores: ``[tasks]``, accuracy as a fraction, or the loss in a regression.
    """

    losses: Tensor
    scores: Tensor


Judge = Callable[[Params], Judgement]


class Gradient(NamedTuple):
    """What tasks contribute to an outer step.

    Attributes:
        judgement: Of the adapted parameters, without a graph.
        gradient: Derivative of the sum of the query losses with respect to theta_0, by name.
    """

    judgement: Judgement
    gradient: Params


def unrolled(
    slope: Slope,
    judge: Judge,
    params: Params,
    steps: int,
    lr: float,
    order: Order = "exact",
) -> Gradient:
    """Differentiate through the whole inner loop at once (MAML, equation 1).

    Memory grows with ``steps``: the graph of each inner step is kept until the way back.

    Args:
        slope: The gradient of the support loss.
        judge: The query losses and scores.
        params: theta_0.
        steps: How many inner steps.
        lr: alpha, the inner learning rate.
        order: ``"exact"``, or ``"first"`` to drop the inner gradient's own derivative (FOMAML).
    """
    start = leaves(params)
    adapted = start
    for step in range(steps):
        adapted = inner_step(slope, adapted, step, lr, create_graph=order == "exact")
    judgement = judge(adapted)
    return Gradient(_detached(judgement), _pull_back(judgement.losses.sum(), start))


def replayed(slope: Slope, judge: Judge, params: Params, steps: int, lr: float) -> Gradient:
    """The same exact gradient in the memory of one inner step.

    Only theta_s of each step is kept, and the graph of the last. On the way back each step before
    it is done once more and differentiated alone: v_s = (d theta_{s+1} / d theta_s)^T v_{s+1} (the
    idea of MixFlow-MG, Kemaev et al. 2025, arXiv 2505.00793).

    Args:
        slope: The gradient of the support loss. It has to give the same value again for the same
            arguments.
        judge: The query losses and scores.
        params: theta_0.
        steps: How many inner steps.
        lr: alpha, the inner learning rate.
    """
    path = adapt(slope, params, max(steps - 1, 0), lr)
    judgement, gradient = unrolled(
        lambda params, _, keep: slope(params, steps - 1, keep), judge, path.pop(), min(steps, 1), lr
    )
    for step in reversed(range(steps - 1)):
        before = path.pop()
        after = inner_step(slope, before, step, lr, create_graph=True)
        gradient = _pull_back(after, before, gradient)
    return Gradient(judgement, gradient)


def _pull_back(output: Tensor | Params, inputs: Params, cotangent: Params | None = None) -> Params:
    """The product of ``cotangent`` with the derivative of ``output`` with respect to ``inputs``."""
    try:
        gradients = torch.autograd.grad(
            output if isinstance(output, Tensor) else list(output.values()),
            list(inputs.values()),
            None if cotangent is None else list(cotangent.values()),
            materialize_grads=True,
        )
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_SECOND_DERIVATIVE):
            raise
        raise InputError(
            "an operation of the model or of the loss has no second derivative "
            f'({first_line(error)}); replace it, or use order="first"'
        ) from error
    return dict(zip(inputs, gradients, strict=True))


_NO_SECOND_DERIVATIVE = ("derivative for", "once_differentiable", "differentiable twice")


def _detached(judgement: Judgement) -> Judgement:
    return Judgement(judgement.losses.detach(), judgement.scores.detach())
