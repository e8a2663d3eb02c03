"""What all learners share that adapt by gradient steps from a meta-learned initialisation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor, nn

from fewstep.execution.looped import MetaGradient, evaluate_paths, mean_gradient
from fewstep.execution.plan import Execution, Planner
from fewstep.execution.vmapped import NotVectorisableError
from fewstep.functional.call import LOSS, Norm, PureModel
from fewstep.functional.layer_modes import LayerModes
from fewstep.functional.loss import loss_module
from fewstep.functional.swapped import Params
from fewstep.learners.adapted import adapted_module, predict_seeded
from fewstep.learners.base import Evaluation
from fewstep.learners.checks import (
    Loss,
    check_at_least_zero,
    check_choice,
    check_examples,
    check_learns,
    check_memory,
    check_module,
    check_names,
    check_twice_differentiable,
    loss_of,
)
from fewstep.learners.divergence import check_adapted, check_finite
from fewstep.learners.objectives import query_function, support_loss_of
from fewstep.learners.traits import FitCheck, Traits
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, adapted_path, last, support_gradient
from fewstep.metagrad.metrics import Metric, Metrics
from fewstep.metagrad.objective import Objective
from fewstep.metagrad.unroll import Gradient
from fewstep.runtime.modes import Precision, exclusive, multiplying_in
from fewstep.tasks import Inputs, TaskBatch, map_tensors

Found = TypeVar("Found")


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
        loss: Loss | str,
        metrics: Mapping[str, Metric] | None,
        execution: Execution,
        precision: Precision,
        norm: Norm,
    ) -> None:
        check_module(model)
        check_choice("execution", execution, get_args(Execution))
        check_choice("precision", precision, get_args(Precision))
        check_choice("norm", norm, get_args(Norm))
        check_at_least_zero("inner_lr", inner_lr)
        check_at_least_zero("inner_steps", inner_steps, whole=True)
        self.loss: Loss = loss_of(loss)
        self._loss_module = loss_module(self.loss, model)
        check_names(model, self._loss_module)
        check_learns(model)
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.metrics = Metrics(self.loss, metrics)
        self.execution: Execution = execution
        self.precision: Precision = precision
        self.norm: Norm = norm
        self._planner = Planner(execution)
        self._check_fit = FitCheck(self.loss)
        self._twice_differentiable = False

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the outer optimiser changes: the initialisation and what is learned beside it."""
        return (parameter for _, parameter in self.named_parameters())

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The same, with the names that `meta_gradient` uses.

        The model's own names; ``loss.NAME`` for the parameters of a loss that is a module.
        """
        yield from self._plain().items()
        yield from self._of_loss().items()

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
            InputError: The tasks do not fit the model or the loss, or the loss or the gradient is
                not finite.
        """
        result = self.differentiate(tasks, outer_step)
        return result.query.losses.mean(), result.gradient

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """As `meta_gradient`, with the loss and the metrics of each task."""
        with exclusive():
            objective, traits = self.objective(tasks, self.norm, training=True)
            if self._needs_second_derivative(outer_step) and not self._twice_differentiable:
                check_twice_differentiable(objective, tasks)
                self._twice_differentiable = True
            check_memory(getattr(self, "memory", "fast"), traits.repeats)
            gradient = self._gradient(outer_step)
            found = self._execute(
                objective, traits, tasks, lambda n: mean_gradient(objective, tasks, n, gradient)
            )
            check_finite(found, objective, tasks, partial(self._path, steps=self.inner_steps))
            return found

    def evaluate(self, tasks: TaskBatch, steps: int, norm: Norm | None = None) -> Evaluation:
        """Adapt to each task and evaluate it after every inner step. Nothing is learned.

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
        path = partial(self._path, steps=steps)
        with exclusive():
            objective, traits = self.objective(tasks, norm or self.norm)
            results = self._execute(
                objective, traits, tasks, lambda n: evaluate_paths(objective, tasks, n, path)
            )
        return Evaluation(
            torch.stack([query.losses for query in results], 1),
            {
                name: torch.stack([query.metrics[name] for query in results], 1)
                for name in results[0].metrics
            },
        )

    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        """The model adapted to one task.

        Args:
            x: ``[examples, ...]``, the support set.
            y: ``[examples, ...]``, its targets.
            steps: How many inner steps; the learner's own number unless given.
            norm: What batch norm of the result uses: the statistics of ``x`` (``"inductive"``, the
                default; those recorded for the step where the learner is inductive and records
                them), or of each batch that it is called with (``"transductive"``).

        Returns:
            A copy of the model in eval mode, ready to call with one example or with many. Its
            `state_dict` fits the model.

        Raises:
            InputError: The examples do not fit the model or the loss.
        """
        steps = self.inner_steps if steps is None else steps
        self._check_steps(steps)
        if norm is not None:
            check_choice("norm", norm, get_args(Norm))
        check_examples(x, y)
        with exclusive():
            batch = map_tensors(lambda tensor: tensor[None], x)
            tasks = TaskBatch(batch, y[None], batch, y[None])
            objective, traits = self.objective(tasks, norm or self.norm)
            assert objective.learned is not None
            on_support = support_gradient(lambda params, _: objective.support_loss(params, x, y))
            params = last(self._path(on_support, objective.learned, steps))
            check_adapted(objective, tasks, params, partial(self._path, steps=steps))
            expected = None
            if traits.repeats and not any(name.endswith(".running_mean") for name in params):
                expected = predict_seeded(self._pure("evaluation", traits), params, x)
            room = self._with_room_for(params)
            return adapted_module(room, params, x, norm or "inductive", expected)

    def objective(
        self, tasks: TaskBatch, norm: Norm, *, training: bool = False
    ) -> tuple[Objective, Traits]:
        """What a task is for this learner, as pure functions, and what the model is like.

        Raises:
            InputError: The tasks do not fit the model or the loss.
        """
        traits = self._check(tasks, "own" if training else "evaluation")
        return self._objective(tasks, traits, norm, training), traits

    def _check(self, tasks: TaskBatch, modes: LayerModes) -> Traits:
        """See that the tasks fit."""
        check_learns(self.model)
        return self._check_fit(self.model, tasks, modes)

    def _objective(self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool) -> Objective:
        pure = self._pure("own" if training else "evaluation", traits)
        learned: Params = {**self._plain(), **self._of_loss()}
        return Objective(
            support_loss_of(pure, self.loss, self.precision),
            query_function(pure, self.loss, self.metrics, norm, self.precision),
            learned,
            self.metrics,
            learned=learned,
            needs_gradients=traits.needs_gradients,
            modes=tuple(training for _, training in pure.modes),
        )

    def _pure(self, modes: LayerModes, traits: Traits, **settings: Any) -> PureModel:
        return PureModel(
            self.model,
            self.loss,
            modes=modes,
            copies_inputs=traits.changes_inputs,
            **settings,
        )

    def _execute(
        self,
        objective: Objective,
        traits: Traits,
        tasks: TaskBatch,
        compute: Callable[[int], Found],
    ) -> Found:
        """Compute as many tasks at once as is planned."""
        together = traits.repeats and not traits.draws_outside
        at_once = self._planner.at_once(objective, together, tasks)
        state = torch.get_rng_state()
        with multiplying_in(self.precision):
            try:
                return compute(at_once)
            except NotVectorisableError:
                # The model has changed since it was planned, a dropout perhaps.
                if self.execution != "auto":
                    raise
        torch.set_rng_state(state)
        self._planner.give_up(objective, tasks)
        with multiplying_in(self.precision):
            return compute(0)

    def _with_room_for(self, params: Params) -> nn.Module:
        """The model, or one like it, that adapted parameters fit into."""
        return self.model

    @abstractmethod
    def _gradient(self, outer_step: int) -> partial[Gradient]:
        """What `mean_gradient` takes: which gradient an outer step is made along."""

    def _needs_second_derivative(self, outer_step: int) -> bool:
        """Whether `_gradient` differentiates an inner gradient."""
        return True

    @property
    def _loop(self) -> InnerLoop:
        return InnerLoop(self.inner_steps, self.inner_lr, tuple(self._plain()))

    def _path(self, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[Params]:
        """What the model consists of after 0, 1, ..., steps inner steps."""
        return adapted_path(self._loop, grad_fn, learned, steps)

    def _plain(self) -> dict[str, nn.Parameter]:
        """The model's parameters that are learned."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def _of_loss(self) -> dict[str, nn.Parameter]:
        """Those of the loss, which do not adapt."""
        if self._loss_module is None:
            return {}
        own = {id(parameter) for parameter in self.model.parameters()}
        named = self._loss_module.named_parameters()
        return {LOSS + n: p for n, p in named if p.requires_grad and id(p) not in own}

    def _check_steps(self, steps: int) -> None:
        check_at_least_zero("steps", steps, whole=True)
