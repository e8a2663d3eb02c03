"""The learners that adapt by gradient steps from a meta-learned initialisation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, TypeVar, get_args

import torch
from torch import Tensor, nn

from fewstep.execution.looped import MetaGradient, evaluate_paths, mean_gradient
from fewstep.execution.plan import Execution, Planner
from fewstep.execution.vmapped import NotVectorisableError
from fewstep.functional.call import LOSS, LayerModes, Norm, PureModel
from fewstep.functional.loss import loss_module
from fewstep.functional.swapped import Params
from fewstep.learners.adapted import adapted_module, predict_seeded
from fewstep.learners.base import Evaluation, Learner
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
)
from fewstep.learners.divergence import check_adapted, check_finite
from fewstep.learners.objectives import query_function, support_loss_of
from fewstep.learners.settings import Settings
from fewstep.learners.traits import FitCheck, Traits
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, adapted_path, last, support_gradient
from fewstep.metagrad.metrics import Metrics
from fewstep.metagrad.objective import Objective
from fewstep.metagrad.unroll import Gradient, Memory, Order, QueryResult, last_only
from fewstep.runtime.compile_cache import CompiledFunctions
from fewstep.runtime.modes import Precision, exclusive, multiplying_in
from fewstep.tasks import Inputs, TaskBatch, map_tensors

Found = TypeVar("Found")


class GradientBased(Learner):
    """The parameters of ``model`` are the initialisation, and each task takes gradient steps.

    A subclass says which gradient an outer step takes, in `_gradient`, and explains the arguments.
    """

    _PREFIXES: ClassVar[dict[str, str]] = {"model": "", "_loss_parameters": LOSS}
    model: nn.Module
    loss: Loss
    execution: Execution
    precision: Precision
    norm: Norm
    order: Order
    memory: Memory

    def __init__(
        self, model: nn.Module, inner_lr: float, inner_steps: int, settings: Settings
    ) -> None:
        super().__init__()
        check_module(model)
        check_at_least_zero("inner_lr", inner_lr)
        check_at_least_zero("inner_steps", inner_steps, whole=True)
        # Not by setattr, which would make another part of a loss that is a module.
        vars(self).update(vars(settings))
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        module = loss_module(self.loss, model)
        check_names(model, module)
        check_learns(model)
        if module is not None:
            self._loss_parameters = module
        self._metrics = Metrics(self.loss, settings.metrics)
        self._planner = Planner(self.execution)
        self._check_fit = FitCheck(self.loss)
        self._twice_differentiable = False

    def meta_parameters(self) -> dict[str, nn.Parameter]:
        """All that the outer loop changes: the initialisation and what is learned beside it."""
        return {**self._plain(), **self._of_loss()}

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """`meta_gradient`, with the loss and the metrics of each task."""
        tasks = self._for_training(tasks)
        with exclusive():
            objective, traits = self.objective(tasks, self.norm, training=True)
            if self._needs_second_derivative(outer_step) and not self._twice_differentiable:
                check_twice_differentiable(objective, tasks)
                self._twice_differentiable = True
            check_memory(self.memory, traits.repeats)
            gradient = self._gradient(outer_step)
            found = self._execute(
                objective, traits, tasks, lambda n: mean_gradient(objective, tasks, n, gradient)
            )
            check_finite(found, objective, tasks, partial(self._path, steps=self.inner_steps))
            return found

    def query_losses(self, tasks: TaskBatch, outer_step: int = 0) -> Tensor:
        """``[tasks]``, the losses whose mean `meta_gradient` differentiates, without a graph."""
        weights = self._importances(outer_step)

        def counted(grad_fn: GradFn, learned: Params) -> Iterator[Params]:
            path = self._path(grad_fn, learned, self.inner_steps)
            return (params for params, weight in zip(path, weights, strict=True) if weight)

        results = self._judge(self._for_training(tasks), self.norm, counted, training=True)
        pairs = zip(results, filter(None, weights), strict=True)
        return torch.stack([weight * query.losses for query, weight in pairs]).sum(0)

    def evaluate(
        self, tasks: TaskBatch, steps: int | None = None, norm: Norm | None = None
    ) -> Evaluation:
        """Losses and metrics of each task after every inner step. Nothing is learned.

        Dropout is off, and no graph outlives an inner step.

        Args:
            tasks: The tasks.
            steps: How many inner steps, the learner's own number unless given; may be more than in
                training where nothing was learned for each step.
            norm: Overrides the learner's own.

        Raises:
            InputError: The tasks do not fit the model or the loss, or a setting is out of range.
        """
        path = partial(self._path, steps=self._checked(steps, norm))
        results = self._judge(tasks, norm or self.norm, path)
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
        steps = self._checked(steps, norm)
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
            query_function(pure, self.loss, self._metrics, norm, self.precision),
            learned,
            self._metrics,
            learned=learned,
            needs_gradients=traits.needs_gradients,
            modes=tuple(training for _, training in pure.modes),
        )

    def _pure(self, modes: LayerModes, traits: Traits, **settings: Any) -> PureModel:
        return PureModel(
            self.model,
            self.loss,
            modes=modes,
            functions=self._functions,
            copies_inputs=traits.changes_inputs,
            **settings,
        )

    def _judge(
        self,
        tasks: TaskBatch,
        norm: Norm,
        path: Callable[[GradFn, Params], Iterator[Params]],
        training: bool = False,
    ) -> list[QueryResult]:
        """How the tasks are solved by each point on a path of parameters."""
        with exclusive():
            objective, traits = self.objective(tasks, norm, training=training)
            return self._execute(
                objective, traits, tasks, lambda n: evaluate_paths(objective, tasks, n, path)
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

    @property
    def _functions(self) -> CompiledFunctions | None:
        """What parts of the model are compiled with, if they are."""
        return None

    @abstractmethod
    def _gradient(self, outer_step: int) -> partial[Gradient]:
        """What `mean_gradient` takes: which gradient an outer step is made along."""

    def _importances(self, outer_step: int) -> list[float]:
        """How much the query loss after 0, 1, ... inner steps counts in an outer step."""
        return last_only(self.inner_steps)

    def _needs_second_derivative(self, outer_step: int) -> bool:
        """Whether `_gradient` differentiates an inner gradient."""
        return True

    def _for_training(self, tasks: TaskBatch) -> TaskBatch:
        """The tasks as an outer step takes them."""
        return tasks

    @property
    def _loop(self) -> InnerLoop:
        return InnerLoop(self.inner_steps, self.inner_lr, tuple(self._plain()))

    def _path(self, grad_fn: GradFn, learned: Params, steps: int) -> Iterator[Params]:
        """What the model consists of after 0, 1, ..., steps inner steps."""
        return adapted_path(self._loop, grad_fn, learned, steps)

    def _plain(self) -> dict[str, nn.Parameter]:
        """The model's parameters that are learned."""
        return {name: p for name, p in self.named("model").items() if p.requires_grad}

    def _of_loss(self) -> dict[str, nn.Parameter]:
        """Those of the loss, which do not adapt."""
        own = {id(parameter) for parameter in self.model.parameters()}
        named = self.named("_loss_parameters")
        return {name: p for name, p in named.items() if p.requires_grad and id(p) not in own}

    def _checked(self, steps: int | None, norm: Norm | None) -> int:
        """The number of inner steps, the learner's own unless it is given."""
        steps = self.inner_steps if steps is None else steps
        self._check_steps(steps)
        if norm is not None:
            check_choice("norm", norm, get_args(Norm))
        return steps

    def _check_steps(self, steps: int) -> None:
        check_at_least_zero("steps", steps, whole=True)
