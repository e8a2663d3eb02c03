"""The pieces that an outer step is put together of, each for all tasks at once.

What a task has of its own, its state, is given with the tasks in front; what all tasks share is
given once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import INNER_LR, PER_STEP, InnerLoop, Slope, leaves, slope
from fewstep.metagrad.objective import Problem
from fewstep.metagrad.unroll import Order
from fewstep.ops.written_out import layers_written_out
from fewstep.tasks import Inputs


@dataclass(frozen=True)
class Steps:
    """One inner step with its derivative, and the gradient of the query loss.

    Attributes:
        problem: What each task is.
        loop: The inner loop.
        order: Whether the step's derivative is exact.
        fixed: Names of the tensors that are not learned; the model may write to some of them.
    """

    problem: Problem
    loop: InnerLoop
    order: Order
    fixed: frozenset[str] = frozenset()

    def step(
        self,
        state: Params,
        shared: Params,
        step: Tensor,
        x: Inputs,
        y: Tensor,
        cotangent: Params,
    ) -> tuple[Params, tuple[Params, Params]]:
        """One inner step, and the product of a cotangent with its derivative.

        Args:
            state: Before the step.
            shared: What the tasks share, at this step.
            step: Its number; a tensor, so that the same operations serve every step.
            x: ``[tasks, examples, ...]``, the support sets.
            y: Their targets.
            cotangent: Of the state after the step.

        Returns:
            The state after the step; and the cotangent of the state before it, with that of what is
            shared, summed over the tasks.
        """
        state, shared = leaves(state), self._learned_leaves(shared)
        exact = self.order == "exact"
        number: Any = step
        after = self._one_step.step(self._slope(x, y), shared, state, number, create_graph=exact)
        return after, _pull_back(list(after.values()), list(cotangent.values()), state, shared)

    def query(
        self,
        state: Params,
        shared: Params,
        support_x: Inputs,
        query_x: Inputs,
        query_y: Tensor,
        weight: Tensor,
    ) -> tuple[Tensor, list[Tensor], list[Tensor], Params, Params]:
        """The query losses, what metrics need, statistics, and the gradients of weight * losses."""
        state, shared = leaves(state), self._learned_leaves(shared)
        losses, needed, statistics = self.look(state, shared, support_x, query_x, query_y)
        gradients = _pull_back([losses.sum()], [weight.to(losses.dtype)], state, shared)
        return losses, needed, statistics, *gradients

    def look(
        self, state: Params, shared: Params, support_x: Inputs, query_x: Inputs, query_y: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The same without gradients."""
        params = self.loop.seen(shared, state, 0)
        judge = vmap(self.problem.judge, in_dims=(self._dims(params, state), 0, 0, 0))
        with layers_written_out():
            return judge(self._writable(params), support_x, query_x, query_y)

    def _slope(self, x: Inputs, y: Tensor) -> Slope:
        def objective(params: Params, _: int) -> Tensor:
            dims = self._dims(params, self.loop.adapting)
            losses = vmap(self.problem.support_loss, in_dims=(dims, 0, 0))
            with layers_written_out():
                return losses(self._writable(params), x, y).sum()

        return slope(objective)

    def _dims(self, params: Params, own: Any) -> dict[str, int | None]:
        return {name: 0 if name in own else None for name in params}

    def _writable(self, params: Params) -> Params:
        return {n: v.clone() if n in self.fixed else v for n, v in params.items()}

    def _learned_leaves(self, shared: Params) -> Params:
        return {**shared, **leaves({n: v for n, v in shared.items() if n not in self.fixed})}

    @property
    def _one_step(self) -> InnerLoop:
        """The loop, when step sizes are given as those of one step."""
        fixed = self.loop.step_sizes == "fixed"
        return self.loop if fixed else replace(self.loop, step_sizes="per-element")


def at_step(loop: InnerLoop, learned: Params, step: int) -> Params:
    """What all tasks share at one step: the values of the step alone, where each has its own.

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
    outputs: list[Tensor], cotangents: list[Tensor], state: Params, shared: Params
) -> tuple[Params, Params]:
    inputs = {**state, **{n: v for n, v in shared.items() if v.requires_grad}}
    found = torch.autograd.grad(outputs, list(inputs.values()), cotangents, materialize_grads=True)
    gradients = dict(zip(inputs, found, strict=True))
    return {n: gradients.pop(n) for n in state}, gradients
