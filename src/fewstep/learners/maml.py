"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine 2017, arXiv 1703.03400)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.compiled import Compiled, Compiler
from fewstep.engine import MetaGradient, Problem, judge_paths, mean_gradient
from fewstep.errors import InputError
from fewstep.functional import (
    Norm,
    Params,
    inductive_call,
    pure_call,
    trainable,
    without_dropout,
)
from fewstep.inner import adapt, slope
from fewstep.kernels.fuse import fused
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
from fewstep.metagrad import Gradient, Memory, Order, replayed, unrolled
from fewstep.plans import Execution, Planner
from fewstep.precision import Precision, autocast, multiplying_in
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

    Raises:
        InputError: A setting is out of range.
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
    ) -> None:
        check_choice("order", order, get_args(Order))
        check_choice("memory", memory, get_args(Memory))
        check_choice("execution", execution, get_args(Execution))
        check_choice("precision", precision, get_args(Precision))
        check_choice("norm", norm, get_args(Norm))
        if compile and execution not in ("auto", "loop"):
            raise InputError(
                f"execution is {execution!r} with compile=True, which computes one task after "
                'another; use execution="loop"'
            )
        check_at_least_zero("inner_lr", inner_lr)
        check_at_least_zero("inner_steps", inner_steps)
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

    def parameters(self) -> Iterator[nn.Parameter]:
        """The initialisation: what the outer optimiser changes."""
        return (parameter for _, parameter in self.named_parameters())

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The initialisation, with the names that `meta_gradient` uses."""
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)

    def meta_gradient(self, tasks: TaskBatch) -> tuple[Tensor, Params]:
        """The mean query loss after adaptation and its gradient (Algorithm 1, line 8).

        Args:
            tasks: The meta-batch.

        Returns:
            The loss, a scalar without a graph, and ``{parameter name: gradient}``, each of the
            parameter's shape.

        Raises:
            InputError: The tasks do not fit the model or the loss.
        """
        result = self.differentiate(tasks)
        return result.judgement.losses.mean(), result.gradient

    def differentiate(self, tasks: TaskBatch) -> MetaGradient:
        """As `meta_gradient`, with the loss and the score of each task."""
        self._check_fit(self.model, tasks)
        problem = self.problem(self.model, self.norm)
        if self.order == "exact" and not self._twice_differentiable:
            check_twice_differentiable(problem, tasks)
            self._twice_differentiable = True
        gradient: Callable[..., Gradient] = partial(unrolled, order=self.order)
        if self.memory == "flat" and self.order == "exact":
            gradient = replayed
        gradient = partial(gradient, steps=self.inner_steps, lr=self.inner_lr)
        with multiplying_in(self.precision):
            return mean_gradient(problem, tasks, self._planner.at_once(problem, tasks), gradient)

    def evaluate(self, tasks: TaskBatch, steps: int, norm: Norm | None = None) -> Evaluation:
        """Adapt to each task and judge it after every inner step. Nothing is learned.

        Dropout is off, and no graph outlives an inner step.

        Args:
            tasks: The tasks.
            steps: How many inner steps; may be more than in training.
            norm: Overrides the learner's own.

        Raises:
            InputError: The tasks do not fit the model or the loss, or a setting is out of range.
        """
        check_at_least_zero("steps", steps)
        if norm is not None:
            check_choice("norm", norm, get_args(Norm))
        self._check_fit(self.model, tasks)
        problem = self.problem(without_dropout(self.model), norm or self.norm)
        path = partial(adapt, steps=steps, lr=self.inner_lr)
        with multiplying_in(self.precision):
            at_once = self._planner.at_once(problem, tasks)
            judgements = judge_paths(problem, tasks, at_once, path)
        losses, scores = (torch.stack(column, 1) for column in zip(*judgements, strict=True))
        return Evaluation(losses, scores)

    def adapt(self, x: Tensor, y: Tensor, steps: int | None = None) -> nn.Module:
        """The model adapted to one task.

        Args:
            x: ``[examples, ...]``, the support set.
            y: ``[examples, ...]``, its targets.
            steps: How many inner steps; the learner's own number unless given.

        Returns:
            A copy of the model in eval mode, ready to call. Its batch norm keeps to the
            learner's ``norm``: the statistics of the batch it is called with, or of ``x``.

        Raises:
            InputError: The examples do not fit the model or the loss.
        """
        steps = self.inner_steps if steps is None else steps
        check_at_least_zero("steps", steps)
        self._check_fit(self.model, TaskBatch(x[None], y[None], x[None], y[None]))
        model = without_dropout(self.model)
        problem = self.problem(model, self.norm)
        path = adapt(
            slope(lambda params, _: problem.support_loss(params, x, y)),
            problem.start,
            steps,
            self.inner_lr,
        )
        return adapted_module(model, path[-1], x, self.norm)

    def problem(self, model: nn.Module, norm: Norm) -> Problem:
        """What a task is for this learner: support loss and judgement, as pure functions."""
        fast = fused(model)

        def support_loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
            with autocast(self.precision, x.device):
                return scalar(self.loss(pure_call(fast, params, x), y))

        def judge(
            params: Params, support_x: Tensor, query_x: Tensor, query_y: Tensor
        ) -> tuple[Tensor, Tensor]:
            with autocast(self.precision, query_x.device):
                if norm == "inductive":
                    prediction = inductive_call(model, params, support_x, query_x)
                else:
                    prediction = pure_call(fast, params, query_x)
                loss = scalar(self.loss(prediction, query_y))
            return loss, score(prediction, query_y, loss)

        compiled = None
        if self._compiler is not None and not self._compiler.functions.given_up:
            compiled = Compiled(self._compiler, model, norm == "transductive")
        return Problem(support_loss, judge, trainable(model), compiled)
