"""What all learners share that adapt by gradient steps from a meta-learned initialisation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from fewstep.compilation import CompiledFunctions
from fewstep.engine import MetaGradient, judge_paths, mean_gradient
from fewstep.errors import InputError
from fewstep.functional import Norm, Params, trainable, without_dropout
from fewstep.inner import INNER_LR, PER_STEP, InnerLoop, Slope, adapted_path, slope
from fewstep.learners.adapted import adapted_module
from fewstep.learners.checks import (
    FitCheck,
    Loss,
    check_at_least_zero,
    check_choice,
    check_twice_differentiable,
)
from fewstep.learners.learner import Evaluation
from fewstep.learners.objectives import problem_of
from fewstep.metagrad import Gradient
from fewstep.plans import Execution, Planner
from fewstep.precision import Precision, multiplying_in
from fewstep.problem import Problem
from fewstep.tasks import TaskBatch


class GradientBased(ABC):
    """The parameters of ``model`` are the initialisation, and each task takes gradient steps.

    A subclass says which gradient an outer step takes, in `_gradient`, and explains the arguments.
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float,
        inner_steps: int,
        *,
        loss: Loss,
        execution: Execution,
        precision: Precision,
        norm: Norm,
    ) -> None:
        check_choice("execution", execution, get_args(Execution))
        check_choice("precision", precision, get_args(Precision))
        check_choice("norm", norm, get_args(Norm))
        check_at_least_zero("inner_lr", inner_lr)
        check_at_least_zero("inner_steps", inner_steps)
        _check_names(model)
        if not trainable(model):
            raise InputError(
                "no parameter of the model requires a gradient; leave at least one to be learned"
            )
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.loss = loss
        self.execution: Execution = execution
        self.precision: Precision = precision
        self.norm: Norm = norm
        self._planner = Planner(execution)
        self._check_fit = FitCheck(loss)
        self._twice_differentiable = False

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the outer optimiser changes: the initialisation and what is learned beside it."""
        return (parameter for _, parameter in self.named_parameters())

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The same, with the names that `meta_gradient` uses: the model's own."""
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)

    def meta_gradient(self, tasks: TaskBatch, outer_step: int = 0) -> tuple[Tensor, Params]:
        """The mean query loss after adaptation and its gradient (Algorithm 1, line 8).

        Args:
            tasks: The meta-batch.
            outer_step: Outer steps done; matters for ``multi_step_loss`` and
                ``first_order_steps`` of `MAML` alone.

        Returns:
            The loss, a scalar without a graph, and ``{parameter name: gradient}``, each of the
            parameter's shape. With a multi-step loss it is the weighted one.

        Raises:
            InputError: The tasks do not fit the model or the loss.
        """
        result = self.differentiate(tasks, outer_step)
        return result.judgement.losses.mean(), result.gradient

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """As `meta_gradient`, with the loss and the score of each task."""
        model = self._fitting(tasks)
        problem = self.problem(model, self.norm, training=True)
        if self._needs_second_derivative(outer_step) and not self._twice_differentiable:
            check_twice_differentiable(problem, tasks)
            self._twice_differentiable = True
        with multiplying_in(self.precision):
            at_once = self._planner.at_once(model, problem, tasks)
            return mean_gradient(problem, tasks, at_once, self._gradient(outer_step))

    def evaluate(self, tasks: TaskBatch, steps: int, norm: Norm | None = None) -> Evaluation:
        """Adapt to each task and judge it after every inner step. Nothing is learned.

        Dropout is off, and no graph outlives an inner step.

        Args:
            tasks: The tasks.
            steps: How many inner steps; may be more than in training where nothing was learned
                for each step.
            norm: Overrides the learner's own.

        Raises:
            InputError: The tasks do not fit the model or the loss, or a setting is out of range.
        """
        self._check_steps(steps)
        if norm is not None:
            check_choice("norm", norm, get_args(Norm))
        model = without_dropout(self._fitting(tasks))
        problem = self.problem(model, norm or self.norm)
        path = partial(self._path, steps=steps)
        with multiplying_in(self.precision):
            at_once = self._planner.at_once(model, problem, tasks)
            judgements = judge_paths(problem, tasks, at_once, path)
        losses = torch.stack([judgement.losses for judgement in judgements], 1)
        return Evaluation(losses, torch.stack([judgement.scores for judgement in judgements], 1))

    def adapt(self, x: Tensor, y: Tensor, steps: int | None = None) -> nn.Module:
        """The model adapted to one task.

        Args:
            x: ``[examples, ...]``, the support set.
            y: ``[examples, ...]``, its targets.
            steps: How many inner steps; the learner's own number unless given.

        Returns:
            A copy of the model in eval mode, ready to call. Its batch norm keeps to the
            learner's ``norm``: the statistics of the batch it is called with, or of ``x``, or
            those recorded for the step.

        Raises:
            InputError: The examples do not fit the model or the loss.
        """
        steps = self.inner_steps if steps is None else steps
        self._check_steps(steps)
        model = without_dropout(self._fitting(TaskBatch(x[None], y[None], x[None], y[None])))
        problem = self.problem(model, self.norm)
        assert problem.learned is not None
        on_support = slope(lambda params, _: problem.support_loss(params, x, y))
        path = self._path(on_support, problem.learned, steps)
        return adapted_module(model, path[-1], x, self.norm)

    def problem(self, model: nn.Module, norm: Norm, *, training: bool = False) -> Problem:
        """What a task is for this learner: support loss and judgement, as pure functions."""
        return problem_of(model, self.loss, norm, self.precision, self._functions)

    @property
    def _functions(self) -> CompiledFunctions | None:
        """What parts of the model are compiled with, if they are."""
        return None

    @abstractmethod
    def _gradient(self, outer_step: int) -> partial[Gradient]:
        """What `mean_gradient` takes: which gradient an outer step is made along."""

    def _needs_second_derivative(self, outer_step: int) -> bool:
        """Whether `_gradient` differentiates an inner gradient."""
        return True

    @property
    def _loop(self) -> InnerLoop:
        return InnerLoop(self.inner_steps, self.inner_lr, tuple(trainable(self.model)))

    def _path(self, slope: Slope, learned: Params, steps: int) -> list[Params]:
        """What the model consists of after 0, 1, ..., steps inner steps."""
        return adapted_path(self._loop, slope, learned, steps)

    def _fitting(self, tasks: TaskBatch) -> nn.Module:
        """The model for these tasks, which have been checked."""
        self._check_fit(self.model, tasks)
        return self.model

    def _check_steps(self, steps: int) -> None:
        check_at_least_zero("steps", steps)


def _check_names(model: nn.Module) -> None:
    for name, _ in (*model.named_parameters(), *model.named_buffers()):
        if name.startswith((INNER_LR, PER_STEP)):
            raise InputError(
                f"the model has {name!r}, a name that the learner uses for what it learns beside "
                "the model; rename that part of the model"
            )
