"""A whole outer step of all tasks at once, put together of three functions that are compiled.

It is the gradient of `fewstep.metagrad.unroll`, and nothing in it waits for the device.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fewstep.execution.steps import Steps, add_at_step, among, at_step
from fewstep.execution.traced import Linearised, Traced
from fewstep.functional.swapped import Params
from fewstep.metagrad.inner_loop import INNER_LR, InnerState
from fewstep.metagrad.inner_optimizers import INNER_OPTIMIZERS
from fewstep.metagrad.objective import Labels, Objective
from fewstep.metagrad.unroll import ThroughInnerLoop
from fewstep.tasks import TaskBatch


class Outcome(NamedTuple):
    """The result of an outer step.

    Attributes:
        losses: ``[tasks]``, weighted.
        metrics: ``{name: [tasks]}``, after the last step; none where users gave metrics of theirs.
        needed: What those need of the predictions.
        statistics: ``[steps + 1, ...]``, the mean over the tasks; none or one.
        gradient: Of the mean loss, by name.
    """

    losses: Tensor
    metrics: dict[str, Tensor]
    needed: list[Tensor]
    statistics: list[Tensor]
    gradient: Params


class OuterStep:
    """Computes outer steps.

    Args:
        objective: Of each task.
        rule: Which gradient. Of its importances only matters which are zero.
        fixed: Names of the model's tensors that are not learned.
        compiled: Whether its functions are compiled.
        labels: Those that targets are, if any. The loss of a task with another is NaN, and so is
            the gradient.
    """

    def __init__(
        self,
        objective: Objective,
        rule: ThroughInnerLoop,
        fixed: frozenset[str],
        compiled: bool,
        labels: Labels | None = None,
    ) -> None:
        steps = Steps(objective, rule.loop, rule.order == "exact", fixed)
        self._rule, self._metrics = rule, objective.metrics
        keep = rule.memory == "fast"
        # One copy a tensor, whether it is compiled or not.
        self._init = Linearised(steps.init, "the start", False, keep)

        def numbered(step: int) -> Linearised:
            name = f"inner step {step}"
            return Linearised(partial(steps.numbered, step), name, compiled, keep)

        if rule.loop.optimizer in INNER_OPTIMIZERS.values():
            one = Linearised(steps.step, "an inner step", compiled, keep)
            self._steps = [one] * rule.loop.steps
            if rule.loop.first is not None:
                self._steps[:1] = [numbered(0)]
        else:
            # What a user's optimiser does may depend on the step's number in any way.
            self._steps = [numbered(step) for step in range(rule.loop.steps)]
        self._query = Traced(steps.query, "the gradient of the query loss", compiled)
        self._among = labels and Traced(partial(among, labels), "labels", compiled)
        self._look = Traced(steps.look, "the query loss", compiled)

    def __call__(
        self, tasks: TaskBatch, learned: Params, fixed: Params, weights: Tensor
    ) -> Outcome:
        """One outer step.

        Args:
            tasks: The meta-batch.
            learned: All that is meta-learned.
            fixed: The model's tensors that are not.
            weights: ``[steps + 1]``, the importances of the query losses.
        """
        loop, counted = self._rule.loop, self._rule.importances
        number: float | Tensor = len(tasks)
        wrong: Any = 0.0
        if self._among and not tasks.query_y.is_floating_point():
            (support_y, query_y), wrong = self._among(tasks.support_y, tasks.query_y)
            tasks = replace(tasks, support_y=support_y, query_y=query_y)
            number = wrong.sum() + number
        shared = [{**at_step(loop, learned, s), **fixed} for s in range(loop.steps + 1)]
        seen = [{n: v for n, v in s.items() if not n.startswith(INNER_LR)} for s in shared]
        query = (tasks.support_x, tasks.query_x, tasks.query_y)
        adapting = {name: learned[name] for name in loop.adapting}
        state, first = self._init.forward((adapting, tasks.support_y))
        path = []
        for step in range(loop.steps):
            at = weights.new_full((), step)
            arguments = (state, shared[step], at, tasks.support_x, tasks.support_y)
            after, kept = self._steps[step].forward(arguments)
            path.append((state, kept))
            state = after
        total = {name: torch.zeros_like(value) for name, value in learned.items()}
        losses, needed, rows, of_params, shares = self._query(
            state.params, seen[-1], *query, weights[-1]
        )
        losses, statistics = losses * weights[-1], [rows]
        add_at_step(loop, total, shares, loop.steps)
        cotangent = InnerState(of_params, pytree.tree_map(torch.zeros_like, state.slots))
        for step in reversed(range(loop.steps)):
            state, kept = path.pop()
            cotangent, shares = self._steps[step].back(kept, cotangent)
            add_at_step(loop, total, shares, step)
            if counted[step]:
                here, _, rows, more, shares = self._query(
                    state.params, seen[step], *query, weights[step]
                )
                losses = losses + here * weights[step]
                params = {name: value + more[name] for name, value in cotangent.params.items()}
                cotangent = cotangent._replace(params=params)
                add_at_step(loop, total, shares, step)
                statistics.append(rows)
            elif self._rule.record:
                statistics.append(self._look(state.params, seen[step], *query)[2])
        add_at_step(loop, total, self._init.back(first, cotangent), 0)
        gradient = {name: value / number for name, value in total.items()}
        losses = losses + wrong
        steps = [rows[0].mean(0) for rows in reversed(statistics) if rows]
        means = [torch.stack(steps)] if steps else []
        if self._metrics._given:
            # They may wait for the device.
            return Outcome(losses, {}, needed, means, gradient)
        metrics = self._metrics.of(needed, tasks.query_y, losses)
        return Outcome(losses, metrics, [], means, gradient)
