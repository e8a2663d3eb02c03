"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine 2017, arXiv 1703.03400)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.compiled import Compiled, Compiler
from fewstep.engine import MetaGradient, judge_paths, mean_gradient
from fewstep.errors import InputError
from fewstep.functional import (
    Norm,
    Params,
    inductive_call,
    pure_call,
    trainable,
    without_dropout,
)
from fewstep.inner import (
    INNER_LR,
    PER_STEP,
    InnerLoop,
    InnerOptimizer,
    StepSizes,
    adapted_path,
    slope,
)
from fewstep.kernels.fuse import fused
from fewstep.learners import extras
from fewstep.learners.adapted import adapted_module
from fewstep.learners.checks import (
    FitCheck,
    Loss,
    check_at_least_zero,
    check_choice,
    check_twice_differentiable,
    scalar,
)
from fewstep.learners.learner import Evaluation, score
from fewstep.learners.schedules import importances
from fewstep.learners.selection import adapting_names
from fewstep.metagrad import Gradient, Judgement, Memory, Order, replayed, unrolled
from fewstep.plans import Execution, Planner
from fewstep.precision import Precision, autocast, multiplying_in
from fewstep.problem import Problem
from fewstep.tasks import TaskBatch


class MAML:
    """Learns an initialisation that adapts in a few gradient steps.

    The parameters of ``model`` are the initialisation. No method changes them; the outer loop
    does, with any optimiser of ``torch.optim`` over `parameters`.

    Args:
        model: Any module that maps ``[examples, ...]`` to predictions. Parameters that do not
            require a gradient stay fixed.
        inner_lr: alpha, the step size of the inner loop.
        inner_steps: How many inner steps.
        loss: Maps (prediction, target) to a scalar.
        order: ``"exact"`` differentiates through the inner gradient; ``"first"`` drops that
            derivative (first-order MAML).
        memory: ``"fast"`` keeps the graph of every inner step; ``"flat"`` computes the same
            gradient in the memory of one inner step, for more time.
        execution: ``"loop"`` computes the tasks of a meta-batch one after another;
            ``"vectorised"`` all at once, which suits small networks without random layers;
            ``"chunked"`` as many at once as suit the machine's memory; ``"auto"`` decides between
            the loop and chunks by the size of a task. All give the same gradient.
        compile: Compute by functions that `torch.compile` makes, once for each shape of tasks: the
            whole meta-gradient of a meta-batch where it has few operations, otherwise the inner
            gradient and the judgement, one task after another. It needs a C++ compiler, and what
            the model's code does in Python is fixed by the first call.
        precision: ``"float32"``; ``"tf32"`` lets a GPU round the factors of products to ten bits;
            ``"bf16"`` computes the model in bfloat16 by autocast. The parameters stay as they are.
        norm: What batch norm in training mode uses when the query set is judged: the query
            batch's own statistics (``"transductive"``, as in the paper) or the support set's
            (``"inductive"``).
        adapting: Which parameters adapt: ``"all"``, the ``"head"`` (ANIL), the ``"body"`` without
            the head (BOIL), or names of parameters or modules.
        head: Name of the head; the last ``nn.Linear`` unless given.
        inner_optimizer: What makes a step of a gradient: ``"sgd"``, ``"momentum"`` (0.9) or
            ``"adam"``. It starts every task without memory.
        step_sizes: ``"fixed"``; ``"per-step"`` learns one for each parameter tensor and inner step
            (MAML++); ``"per-element"`` one for each number of each parameter (Meta-SGD).
        multi_step_loss: For so many outer steps the query losses after all inner steps count,
            those before the last less and less (MAML++).
        first_order_steps: Outer steps of first order before those of ``order`` (MAML++).
        per_step_affine: Batch norm in training mode has a scale and a shift for each inner step.
            They are learned by the outer loop and do not adapt (MAML++).
        per_step_statistics: Record what batch norm in training mode sees of the query sets after
            each inner step (`update_statistics`). In training the query set is judged by its own
            statistics; to judge inductively means by those recorded for the step, from then on.

    Raises:
        InputError: A setting is out of range, or the model has no such part.
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.1,
        inner_steps: int = 1,
        *,
        loss: Loss = F.cross_entropy,
        order: Order = "exact",
        memory: Memory = "fast",
        execution: Execution = "auto",
        compile: bool = False,
        precision: Precision = "float32",
        norm: Norm = "transductive",
        adapting: str | Sequence[str] = "all",
        head: str | None = None,
        inner_optimizer: InnerOptimizer = "sgd",
        step_sizes: StepSizes = "fixed",
        multi_step_loss: int = 0,
        first_order_steps: int = 0,
        per_step_affine: bool = False,
        per_step_statistics: bool = False,
    ) -> None:
        check_choice("order", order, get_args(Order))
        check_choice("memory", memory, get_args(Memory))
        check_choice("execution", execution, get_args(Execution))
        check_choice("precision", precision, get_args(Precision))
        check_choice("norm", norm, get_args(Norm))
        check_choice("inner_optimizer", inner_optimizer, get_args(InnerOptimizer))
        check_choice("step_sizes", step_sizes, get_args(StepSizes))
        if compile and execution not in ("auto", "loop"):
            raise InputError(
                f"execution is {execution!r} with compile=True, which computes one task after "
                'another; use execution="loop"'
            )
        check_at_least_zero("inner_lr", inner_lr)
        check_at_least_zero("inner_steps", inner_steps)
        check_at_least_zero("multi_step_loss", multi_step_loss)
        check_at_least_zero("first_order_steps", first_order_steps)
        _check_names(model)
        if not trainable(model):
            raise InputError(
                "no parameter of the model requires a gradient; leave at least one to be learned"
            )
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.loss = loss
        self.order: Order = order
        self.memory: Memory = memory
        self.precision: Precision = precision
        self.execution: Execution = execution
        self.norm: Norm = norm
        self.compile = compile
        self._planner = Planner(execution)
        self._compiler = Compiler(loss, score) if compile else None
        self._check_fit = FitCheck(loss)
        self._twice_differentiable = False
        self.multi_step_loss = multi_step_loss
        self.first_order_steps = first_order_steps
        self._affine = extras.per_step_affine(model, inner_steps) if per_step_affine else {}
        self._statistics = (
            extras.per_step_statistics(model, inner_steps) if per_step_statistics else {}
        )
        names = adapting_names(model, adapting, head)
        start = {n: p for n, p in self._plain(model).items() if n in names}
        self._adapting = tuple(start)
        self._inner_optimizer: InnerOptimizer = inner_optimizer
        self._kind_of_steps: StepSizes = step_sizes
        self._step_sizes = extras.step_sizes(step_sizes, start, inner_lr, inner_steps)

    @property
    def _loop(self) -> InnerLoop:
        return InnerLoop(
            self.inner_steps,
            self.inner_lr,
            self._adapting,
            self._inner_optimizer,
            self._kind_of_steps,
        )

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the outer optimiser changes: the initialisation and what is learned beside it."""
        return (parameter for _, parameter in self.named_parameters())

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The same, with the names that `meta_gradient` uses.

        The model's own names; ``inner_lr.NAME``, the step sizes of a parameter;
        ``per_step.NAME``, a row for each number of inner steps. Running statistics are among them
        and require no gradient.
        """
        yield from self._plain(self.model).items()
        yield from (self._step_sizes | self._affine | self._statistics).items()

    def meta_gradient(self, tasks: TaskBatch, outer_step: int = 0) -> tuple[Tensor, Params]:
        """The mean query loss after adaptation and its gradient (Algorithm 1, line 8).

        Args:
            tasks: The meta-batch.
            outer_step: Outer steps done; matters for ``multi_step_loss`` and
                ``first_order_steps`` alone.

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
        self._check_fit(self.model, tasks)
        order: Order = "first" if outer_step < self.first_order_steps else self.order
        problem = self.problem(self.model, self.norm, training=True)
        if order == "exact" and not self._twice_differentiable:
            check_twice_differentiable(problem, tasks)
            self._twice_differentiable = True
        gradient: Callable[..., Gradient] = partial(unrolled, order=order)
        if self.memory == "flat" and order == "exact":
            gradient = replayed
        gradient = partial(
            gradient,
            self._loop,
            importances=importances(self.inner_steps, outer_step, self.multi_step_loss),
            record=bool(self._statistics),
        )
        with multiplying_in(self.precision):
            at_once = self._planner.at_once(problem, tasks)
            judgement, found, _ = mean_gradient(problem, tasks, at_once, gradient)
        statistics = None
        if judgement.statistics is not None:
            rows = judgement.statistics.mean(0)
            statistics = extras.named_statistics(self._statistics, rows)
        return MetaGradient(Judgement(judgement.losses, judgement.scores), found, statistics)

    def update_statistics(self, statistics: Params) -> None:
        """Move the running statistics towards those of a meta-batch, once an outer step.

        Args:
            statistics: What `differentiate` found.
        """
        extras.move_statistics(self._statistics, statistics)

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
        self._check_fit(self.model, tasks)
        problem = self.problem(without_dropout(self.model), norm or self.norm)
        path = partial(adapted_path, self._loop, steps=steps)
        with multiplying_in(self.precision):
            at_once = self._planner.at_once(problem, tasks)
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
        self._check_fit(self.model, TaskBatch(x[None], y[None], x[None], y[None]))
        model = without_dropout(self.model)
        problem = self.problem(model, self.norm)
        assert problem.learned is not None
        path = adapted_path(
            self._loop,
            slope(lambda params, _: problem.support_loss(params, x, y)),
            problem.learned,
            steps,
        )
        return adapted_module(model, path[-1], x, self.norm)

    def problem(self, model: nn.Module, norm: Norm, *, training: bool = False) -> Problem:
        """What a task is for this learner: support loss and judgement, as pure functions."""
        fast = fused(model)
        recording = bool(self._statistics) and training
        recorded = bool(self._statistics) and norm == "inductive" and not training
        by_recorded = extras.by_running_statistics(model) if recorded else model

        def support_loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
            with autocast(self.precision, x.device):
                return scalar(self.loss(pure_call(fast, params, x), y))

        def judge(
            params: Params, support_x: Tensor, query_x: Tensor, query_y: Tensor
        ) -> tuple[Tensor, ...]:
            statistics: tuple[Tensor, ...] = ()
            with autocast(self.precision, query_x.device):
                if recording:
                    prediction, seen = extras.call_and_record(
                        model, params, query_x, self._statistics
                    )
                    statistics = (seen,)
                elif recorded:
                    prediction = pure_call(by_recorded, params, query_x)
                elif norm == "inductive":
                    prediction = inductive_call(model, params, support_x, query_x)
                else:
                    prediction = pure_call(fast, params, query_x)
                loss = scalar(self.loss(prediction, query_y))
            return loss, score(prediction, query_y, loss), *statistics

        compiled = None
        if self._compiler is not None and not self._compiler.functions.given_up:
            by_query = norm == "transductive" and not self._statistics
            compiled = Compiled(self._compiler, model, by_query, self.precision)
        learned: Params = {**self._plain(model), **self._step_sizes, **self._affine}
        if recorded:
            learned |= self._statistics
        with torch.no_grad():
            start = self._loop.seen(learned, self._loop.begin(learned), 0)
        return Problem(support_loss, judge, start, compiled, learned)

    def _plain(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """The model's parameters, without those that have a value for each step."""
        return {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and PER_STEP + name not in self._affine
        }

    def _check_steps(self, steps: int) -> None:
        check_at_least_zero("steps", steps)
        per_step = self._loop.step_sizes == "per-step" or self._affine or self._statistics
        if per_step and steps > self.inner_steps:
            raise InputError(
                f"steps is {steps}, but step sizes or batch norm were learned for each of "
                f"{self.inner_steps} inner steps; use at most {self.inner_steps} steps, train with "
                f"inner_steps={steps}, or learn nothing per step"
            )


def _check_names(model: nn.Module) -> None:
    for name, _ in (*model.named_parameters(), *model.named_buffers()):
        if name.startswith((INNER_LR, PER_STEP)):
            raise InputError(
                f"the model has {name!r}, a name that the learner uses for what it learns beside "
                "the model; rename that part of the model"
            )
