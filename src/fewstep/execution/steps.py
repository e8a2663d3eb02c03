"""The pieces that a recorded outer step is put together of, each for all tasks at once.

What a task has of its own, its state, is given with the tasks in front; what all tasks share is
given once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils import _pytree as pytree

from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import (
    INNER_LR,
    PER_STEP,
    GradFn,
    InnerLoop,
    InnerState,
    as_leaf_tensors,
)
from fewstep.metagrad.objective import Labels, Objective
from fewstep.ops.written_out import layers_written_out
from fewstep.tasks import Inputs


@dataclass(frozen=True)
class Steps:
    """One inner step with its derivative, and the gradient of the query loss.

    Attributes:
        objective: Of each task.
        loop: The inner loop.
        exact: Whether the step's derivative is exact, or that of first order.
        fixed: Names of the tensors that are not learned; the model may write to some of them.
    """

    objective: Objective
    loop: InnerLoop
    exact: bool
    fixed: frozenset[str] = frozenset()

    def init(
        self, learned: Params, y: Tensor, cotangent: InnerState | None
    ) -> tuple[InnerState, Params]:
        """The state before the first step, and the product of a cotangent with its derivative.

        Args:
            learned: The parameters that adapt, for all tasks.
            y: As for `step`.
            cotangent: Of the state; None for the state alone.
        """
        learned = as_leaf_tensors(learned)
        own = {name: value.expand(len(y), *value.shape) for name, value in learned.items()}
        state = self.loop.init(own, batched=True)
        if cotangent is None:
            return state, {}
        return state, _pull_back(state, pytree.tree_leaves(cotangent), learned, {})[0]

    def step(
        self,
        state: InnerState,
        shared: Params,
        step: Any,
        x: Inputs,
        y: Tensor,
        cotangent: InnerState | None,
    ) -> tuple[InnerState, tuple[InnerState, Params]]:
        """One inner step, and the product of a cotangent with its derivative.

        Args:
            state: Before the step.
            shared: What the tasks share, at this step.
            step: Its number; as a tensor, the same operations serve every step, or all but one
                that moves fewer parameters.
            x: ``[tasks, examples, ...]``, the support sets.
            y: Their targets.
            cotangent: Of the state after the step; None for that state alone.

        Returns:
            The state after the step; and the cotangent of the state before it, with that of what is
            shared, summed over the tasks.
        """
        state, shared = as_leaf_tensors(state), self._learned_leaves(shared)
        # Step sizes are given as those of this step.
        fixed = self.loop.step_sizes == "fixed"
        loop = self.loop if fixed else replace(self.loop, step_sizes="per-element")
        if isinstance(step, Tensor):
            loop = replace(loop, first=None)
        grad_fn = GradFn(lambda params, _: self._support_loss(params, x, y), batched=True)
        after = loop.step(grad_fn, shared, state, step, create_graph=self.exact)
        if cotangent is None:
            return after, (after, {})
        pulled = _pull_back(after, pytree.tree_leaves(cotangent), state, shared)
        return after, pulled

    def numbered(
        self, number: int, state: InnerState, shared: Params, _: Tensor, *others: Any
    ) -> tuple[InnerState, tuple[InnerState, Params]]:
        """One inner step, for an optimiser that needs its number while the step is traced."""
        return self.step(state, shared, number, *others)

    def query(
        self,
        adapted: Params,
        shared: Params,
        support_x: Inputs,
        query_x: Inputs,
        query_y: Tensor,
        weight: Tensor,
    ) -> tuple[Tensor, list[Tensor], list[Tensor], Params, Params]:
        """The query losses, tensors for metrics, statistics, and gradients of weight * losses."""
        adapted, shared = as_leaf_tensors(adapted), self._learned_leaves(shared)
        losses, needed, statistics = self.look(adapted, shared, support_x, query_x, query_y)
        cotangents = [weight.to(losses.dtype)]
        return losses, needed, statistics, *_pull_back(losses.sum(), cotangents, adapted, shared)

    def look(
        self, adapted: Params, shared: Params, support_x: Inputs, query_x: Inputs, query_y: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The same without gradients."""
        params = self.loop.model_params(shared, adapted, 0)
        dims = (self._dims(params), 0, 0, 0)
        with layers_written_out():
            evaluate = vmap(self.objective.evaluate_query, in_dims=dims)
            return evaluate(self._writable(params), support_x, query_x, query_y)

    def _support_loss(self, params: Params, x: Inputs, y: Tensor) -> Tensor:
        """The sum of all tasks."""
        with layers_written_out():
            losses = vmap(self.objective.support_loss, in_dims=(self._dims(params), 0, 0))
            return losses(self._writable(params), x, y).sum()

    def _dims(self, params: Params) -> dict[str, int | None]:
        return {name: 0 if name in self.loop.adapting else None for name in params}

    def _writable(self, params: Params) -> Params:
        return {n: v.clone() if n in self.fixed else v for n, v in params.items()}

    def _learned_leaves(self, shared: Params) -> Params:
        learned = {name: value for name, value in shared.items() if name not in self.fixed}
        return {**shared, **as_leaf_tensors(learned)}


def among(labels: Labels, *targets: Tensor) -> tuple[list[Tensor], Tensor]:
    """Targets whose labels are all of the classes, and ``[tasks]``, NaN where one was none.

    A GPU that looks up a label that is none ends the process, and to look before would be to wait.
    """
    within, wrong = [], []
    for y in targets:
        clamped = y.clamp(0, labels.classes - 1)
        left_out = y == labels.ignored
        within.append(torch.where(left_out, y, clamped))
        wrong.append(((y != clamped) & ~left_out).flatten(1).any(1))
    spoiled = torch.stack(wrong).any(0)
    return within, torch.where(spoiled, torch.nan, 0.0)


def at_step(loop: InnerLoop, learned: Params, step: int) -> Params:
    """Values that all tasks share at one step: those of the step, where each has its own.

    Args:
        loop: The inner loop.
        learned: All that is meta-learned.
        step: The step's number.
    """
    shared = {}
    for name, value in learned.items():
        if name.startswith(PER_STEP):
            shared[name.removeprefix(PER_STEP)] = value.select(-2, step).clone()
        elif name.startswith(INNER_LR):
            if step < loop.steps:
                shared[name] = value.select(-1, step).clone() if _per_step(loop) else value
        elif name not in loop.adapting:
            shared[name] = value
    return shared


def add_at_step(loop: InnerLoop, total: Params, gradients: Params, step: int) -> None:
    """Add the gradients of what `at_step` returned to those of all that is meta-learned."""
    for name, value in total.items():
        if name.startswith(PER_STEP) and name.removeprefix(PER_STEP) in gradients:
            value.select(-2, step).add_(gradients[name.removeprefix(PER_STEP)])
        elif name in gradients:
            lr = name.startswith(INNER_LR) and _per_step(loop)
            (value.select(-1, step) if lr else value).add_(gradients[name])


def _per_step(loop: InnerLoop) -> bool:
    return loop.step_sizes == "per-step"


def _pull_back(
    outputs: Any, cotangents: Iterable[Tensor], own: Any, shared: Params
) -> tuple[Any, Params]:
    """Products with the derivatives for trees of what tasks have of their own, and share."""
    leaves, form = pytree.tree_flatten(own)
    learned = {name: value for name, value in shared.items() if value.requires_grad}
    # A slot of an optimiser may be a constant.
    pairs = zip(pytree.tree_leaves(outputs), cotangents, strict=True)
    used, given = map(list, zip(*(pair for pair in pairs if pair[0].requires_grad), strict=True))
    inputs = [*leaves, *learned.values()]
    found = torch.autograd.grad(used, inputs, given, materialize_grads=True)
    of_shared = dict(zip(learned, found[len(leaves) :], strict=True))
    return pytree.tree_unflatten(list(found[: len(leaves)]), form), of_shared
