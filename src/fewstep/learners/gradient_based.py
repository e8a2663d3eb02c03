"""The learners that adapt by gradient steps from a meta-learned initialisation."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fewstep.choices import Execution, Memory, Norm, Order, Precision
from fewstep.execution.executor import Executor, MetaGradient, Path
from fewstep.execution.padding import worth_padding
from fewstep.execution.plan import Planner
from fewstep.functional.call import LOSS, PureModel
from fewstep.functional.layer_modes import LayerModes
from fewstep.functional.loss import loss_module
from fewstep.functional.swapped import Params
from fewstep.learners.adapted import adapted_module, predict_seeded
from fewstep.learners.base import Evaluation, Learner, Predictions
from fewstep.learners.checks import (
    Loss,
    check_at_least_zero,
    check_choice,
    check_examples,
    check_learns,
    check_memory,
    check_module,
    check_tasks,
    check_twice_differentiable,
    loss_of,
)
from fewstep.learners.divergence import check_adapted, check_finite
from fewstep.learners.objectives import query_function, support_loss_of
from fewstep.learners.traits import FitCheck, Traits, check_labels_of
from fewstep.learners.untraced import untraced
from fewstep.metagrad.inner_loop import GradFn, InnerLoop, last
from fewstep.metagrad.metrics import Metric, Metrics, WithPredictions
from fewstep.metagrad.objective import Objective, Padding, QueryResult
from fewstep.metagrad.unroll import GradientRule, last_only
from fewstep.runtime.modes import arithmetic_of, exclusive
from fewstep.tasks import Inputs, TaskBatch, map_tensors
from fewstep.whole_numbers import check_whole


@dataclass(frozen=True)
class Settings:
    """The checked arguments that learners share, beside the inner loop's; `MAML` explains them."""

    loss: Loss | str
    metrics: Mapping[str, Metric] | None
    execution: Execution
    precision: Precision
    norm: Norm
    order: Order = "exact"
    memory: Memory = "fast"

    def __post_init__(self) -> None:
        check_choice("execution", self.execution, Execution)
        check_choice("precision", self.precision, Precision)
        check_choice("norm", self.norm, Norm)
        check_choice("order", self.order, Order)
        check_choice("memory", self.memory, Memory)
        object.__setattr__(self, "loss", loss_of(self.loss))


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
        # Not by setattr, which would make another part of a loss that is a module.
        vars(self).update(vars(settings))
        check_module(model, self.loss)
        self.inner_lr = check_at_least_zero("inner_lr", inner_lr)
        self.inner_steps = check_whole("inner_steps", inner_steps)
        self.model = model
        check_learns(model)
        module = loss_module(self.loss, model)
        if module is not None:
            self._loss_parameters = module
        self._metrics = Metrics(self.loss, settings.metrics)
        self._planner = Planner(self.execution)
        self._check_fit = FitCheck(self.loss)
        self._twice_differentiable = False

    def meta_parameters(self) -> dict[str, nn.Parameter]:
        return {**self._plain(), **self._of_loss()}

    @untraced
    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        check_tasks(tasks)
        tasks = self._for_training(tasks)
        with exclusive():
            # A recorded outer step takes any labels, and to look at them would be to wait for it.
            look = not self._planner.may_record(tasks)
            objective, traits = self.objective(tasks, self.norm, training=True, look=look)
            if self._needs_second_derivative(outer_step) and not self._twice_differentiable:
                check_twice_differentiable(objective, tasks)
                self._twice_differentiable = True
            check_memory(self.memory, traits.repeats)
            rule = self._gradient(outer_step)

            def compute(executor: Executor) -> MetaGradient:
                if not look and not executor.takes_any_labels:
                    check_labels_of(tasks, traits.classes, self.loss)
                return executor.meta_gradient(tasks, rule)

            with arithmetic_of(self.precision):
                found = self._planner.run(objective, tasks, compute, rule)
            if tasks.device.type != "cuda":
                path = partial(self._path, steps=self.inner_steps)
                check_finite(found, objective.unmasked, tasks, path)
            return found

    def expect(self, outer_steps: int | None) -> None:
        self._planner.recordings.expect(outer_steps)

    @untraced
    def query_losses(self, tasks: TaskBatch, outer_step: int = 0) -> Tensor:
        weights = self._importances(outer_step)

        def counted(grad_fn: GradFn, learned: Params) -> Iterator[Params]:
            path = self._path(grad_fn, learned, self.inner_steps)
            return (params for params, weight in zip(path, weights, strict=True) if weight)

        tasks = self._for_training(tasks)
        results = self._query_results(tasks, self.norm, counted, training=True)
        pairs = zip(results, filter(None, weights), strict=True)
        return torch.stack([weight * query.losses for query, weight in pairs]).sum(0)

    @untraced
    def evaluate(
        self, tasks: TaskBatch, steps: int | None = None, norm: Norm | None = None
    ) -> Evaluation:
        path = partial(self._path, steps=self._checked(steps, norm))
        results = self._query_results(tasks, norm or self.norm, path, WithPredictions)
        logits = [query.metrics.pop(WithPredictions.NAME, None) for query in results][-1]
        rows = {n: [query.metrics[n] for query in results] for n in results[0].metrics}
        return Evaluation(
            torch.stack([query.losses for query in results], 1),
            {name: torch.stack(row, 1) for name, row in rows.items()},
            None if logits is None else _without_padding(logits, tasks),
        )

    @untraced
    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        steps = self._checked(steps, norm)
        check_examples(x, y)
        with exclusive():
            batch = map_tensors(lambda tensor: tensor[None], x)
            tasks = TaskBatch(batch, y[None], batch, y[None])
            objective, traits = self.objective(tasks, norm or self.norm)
            grad_fn = GradFn(lambda params, _: objective.support_loss(params, x, y))
            params = last(self._path(grad_fn, objective.learned, steps))
            check_adapted(objective, tasks, params, partial(self._path, steps=steps))
            expected = None
            if traits.repeats and not any(name.endswith(".running_mean") for name in params):
                expected = predict_seeded(self._pure("evaluation", traits), params, x)
            room = self._with_room_for(params)
            return adapted_module(room, params, x, norm or "inductive", expected)

    def objective(
        self, tasks: TaskBatch, norm: Norm, *, training: bool = False, look: bool = True
    ) -> tuple[Objective, Traits]:
        """Pure functions of a task for this learner, and properties of the model."""
        traits = self._check(tasks, "own" if training else "evaluation", look)
        if traits.marked is None or traits.marked.mark is None or not worth_padding(tasks):
            return self._objective(tasks, traits, norm, training), traits
        unmasked = partial(self._objective, tasks, traits, norm, training)
        objective = self._objective(tasks, traits.marked, norm, training)
        return replace(objective, padding=Padding(traits.marked.mark, unmasked)), traits

    def _check(self, tasks: TaskBatch, modes: LayerModes, look: bool = True) -> Traits:
        """See that the tasks fit; without ``look``, labels are not looked at each time."""
        check_learns(self.model)
        return self._check_fit(self.model, tasks, modes, look=look)

    def _objective(self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool) -> Objective:
        pure = self._pure("own" if training else "evaluation", traits)
        learned: Params = {**self._plain(), **self._of_loss()}
        return Objective(
            support_loss_of(pure, self._loss_for(traits), self.precision),
            query_function(pure, self._loss_for(traits), self._metrics, norm, self.precision),
            learned,
            learned,
            self._metrics,
            needs_gradients=traits.needs_gradients,
            vectorisable=traits.vectorisable,
            modes=tuple(training for _, training in pure.modes),
        )

    def _loss_for(self, traits: Traits) -> Loss:
        """The loss of tasks with such traits."""
        return self.loss if traits.mark is None else traits.mark.loss

    def _pure(self, modes: LayerModes, traits: Traits, **settings: Any) -> PureModel:
        copies = traits.changes_inputs
        return PureModel(self.model, self.loss, modes=modes, copies_inputs=copies, **settings)

    def _query_results(
        self,
        tasks: TaskBatch,
        norm: Norm,
        path: Path,
        measured: Callable[[Metrics], Metrics] = lambda metrics: metrics,
        training: bool = False,
    ) -> list[QueryResult]:
        """The query losses and metrics of all tasks at each point on a path of parameters."""
        with exclusive():
            objective, _ = self.objective(tasks, norm, training=training)
            objective = replace(objective, metrics=measured(objective.metrics))
            with arithmetic_of(self.precision):
                return self._planner.run(
                    objective, tasks, lambda executor: executor.evaluate(tasks, path)
                )

    def with_metrics(self, metrics: Mapping[str, Metric]) -> Learner:
        other = super().with_metrics(metrics)
        vars(other).update(_metrics=Metrics(self.loss, metrics))
        return other

    def _with_room_for(self, params: Params) -> nn.Module:
        """The model, or one like it, that adapted parameters fit into."""
        return self.model

    @abstractmethod
    def _gradient(self, outer_step: int) -> GradientRule:
        """Which gradient an outer step is made along."""

    def _importances(self, outer_step: int) -> tuple[float, ...]:
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
        """All tensors of the model after 0, 1, ..., steps inner steps."""
        return self._loop.path(grad_fn, learned, steps)

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
        steps = self.inner_steps if steps is None else check_whole("steps", steps)
        if norm is not None:
            check_choice("norm", norm, Norm)
        return steps


def _without_padding(logits: Tensor, tasks: TaskBatch) -> Predictions:
    """The predictions for the tasks' own query examples, of ``[tasks, examples, ways]``."""
    # The longest query set of the whole batch may be of a task that is not among these.
    own = tasks.own_examples[:, tasks.support_y.shape[1] :][:, : logits.shape[1]]
    return Predictions(logits[own], tasks.query_y[:, : logits.shape[1]][own])
