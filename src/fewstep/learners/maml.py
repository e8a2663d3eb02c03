"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine 2017, arXiv 1703.03400)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import get_args

import torch
import torch.nn.functional as F
from torch import nn

from fewstep.errors import InputError
from fewstep.execution.compiled import Compiled, Compiler
from fewstep.execution.looped import MetaGradient
from fewstep.execution.plan import Execution
from fewstep.functional.call import Norm
from fewstep.functional.swapped import Params
from fewstep.learners import meta_parameters
from fewstep.learners.checks import Loss, check_at_least_zero, check_choice
from fewstep.learners.gradient_based import GradientBased
from fewstep.learners.objectives import query_function
from fewstep.learners.schedules import importances
from fewstep.learners.selection import adapting_names
from fewstep.learners.traits import Traits
from fewstep.metagrad.inner_loop import INNER_LR, PER_STEP, InnerLoop, InnerOptimizer, StepSizes
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.objective import Objective
from fewstep.metagrad.unroll import Gradient, Memory, Order, through_inner_loop
from fewstep.ops.fuse import has_blocks
from fewstep.runtime.modes import Precision
from fewstep.tasks import TaskBatch


class MAML(GradientBased):
    """Learns an initialisation that adapts in a few gradient steps.

    The parameters of ``model`` are the initialisation. No method changes them; the outer loop
    does, with any optimiser of ``torch.optim`` over `parameters`.

    Args:
        model: Any module that maps ``[examples, ...]`` to predictions. Parameters that do not
            require a gradient stay fixed.
        inner_lr: alpha, the step size of the inner loop.
        inner_steps: How many inner steps.
        loss: Maps (prediction, target) to a scalar, or ``"cross_entropy"`` or ``"mse"``. It may
            read the model, and sees it adapted. The parameters of one that is a module are
            meta-learned and do not adapt.
        metrics: What is told of predictions, ``{name: function of (prediction, target)}``; the
            accuracy where predictions are classes, else the loss, unless given.
        order: ``"exact"`` differentiates through the inner gradient; ``"first"`` drops that
            derivative (first-order MAML).
        memory: ``"fast"`` keeps the graph of every inner step; ``"flat"`` computes the same
            gradient in the memory of one inner step, for more time.
        execution: ``"loop"`` computes the tasks of a meta-batch one after another;
            ``"vectorised"`` all at once, which suits small networks without random layers;
            ``"chunked"`` as many at once as suit the machine's memory; ``"auto"`` decides between
            the loop and chunks by the size of a task. All give the same gradient.
        compile: Compute by functions that `torch.compile` makes, once for each shape of tasks: the
            whole meta-gradient of a meta-batch where it has few operations; on a CPU the blocks of
            a convolutional network (batch norm and what follows it in ``nn.Sequential``); otherwise
            the inner gradient and the query loss, one task after another. It needs a C++ compiler,
            and what the model's code does in Python is fixed by the first call.
        precision: ``"float32"``; ``"tf32"`` lets a GPU round the factors of products to ten bits;
            ``"bf16"`` computes the model in bfloat16 by autocast. The parameters stay as they are.
        norm: What batch norm in training mode uses on the query set: the query
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
            each inner step (`update_statistics`). In training the query set is evaluated by its own
            statistics; to evaluate inductively means by those recorded for the step, from then on.

    Raises:
        InputError: A setting is out of range, or the model has no such part.
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.1,
        inner_steps: int = 1,
        *,
        loss: Loss | str = F.cross_entropy,
        metrics: Mapping[str, Metric] | None = None,
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
        super().__init__(
            model,
            inner_lr,
            inner_steps,
            loss=loss,
            metrics=metrics,
            execution=execution,
            precision=precision,
            norm=norm,
        )
        check_choice("order", order, get_args(Order))
        check_choice("memory", memory, get_args(Memory))
        check_choice("inner_optimizer", inner_optimizer, get_args(InnerOptimizer))
        check_choice("step_sizes", step_sizes, get_args(StepSizes))
        if compile and execution not in ("auto", "loop"):
            raise InputError(
                f"execution is {execution!r} with compile=True, which computes one task after "
                'another; use execution="loop"'
            )
        check_at_least_zero("multi_step_loss", multi_step_loss)
        check_at_least_zero("first_order_steps", first_order_steps)
        self.order: Order = order
        self.memory: Memory = memory
        self.compile = compile
        self.multi_step_loss = multi_step_loss
        self.first_order_steps = first_order_steps
        self._compiler = Compiler() if compile else None
        self._affine = (
            meta_parameters.per_step_affine(model, inner_steps) if per_step_affine else {}
        )
        self._statistics = (
            meta_parameters.per_step_statistics(model, inner_steps) if per_step_statistics else {}
        )
        self._adapting = (adapting, head)
        self._inner_optimizer: InnerOptimizer = inner_optimizer
        self._kind_of_steps: StepSizes = step_sizes
        start = self._adapting_parameters()
        self._step_sizes = meta_parameters.step_sizes(step_sizes, start, inner_lr, inner_steps)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The same, with the names that `meta_gradient` uses.

        The model's own names; ``loss.NAME``, a parameter of the loss; ``inner_lr.NAME``, the step
        sizes of a parameter; ``per_step.NAME``, a row for each number of inner steps. Running
        statistics are among them and require no gradient.
        """
        yield from super().named_parameters()
        yield from (self._step_sizes | self._affine | self._statistics).items()

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """As `meta_gradient`, with the loss and the score of each task."""
        found = super().differentiate(tasks, outer_step)
        seen = found.query.statistics
        if seen is None:
            return found
        statistics = meta_parameters.named_statistics(self._statistics, seen.mean(0))
        return MetaGradient(found.query._replace(statistics=None), found.gradient, statistics)

    def update_statistics(self, statistics: Params) -> None:
        """Move the running statistics towards those of a meta-batch, once an outer step.

        Args:
            statistics: What `differentiate` found.
        """
        meta_parameters.move_statistics(self._statistics, statistics)

    def _objective(self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool) -> Objective:
        if self._compiler is None or not training:
            return self._new_objective(tasks, traits, norm, training)
        # Making it takes a good part of the time of a small network's outer step.
        given_up = self._compiler.functions.given_up
        objective: Objective = self._compiler.latest.of(
            [norm, self.precision, given_up, self.loss, traits, *self._check_fit.made_of],
            lambda: self._new_objective(tasks, traits, norm, training),
            # What is not compiled may depend on other attributes of the model's parts.
            lambda objective: objective.compiled is not None,
        )
        return objective

    def _new_objective(
        self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool
    ) -> Objective:
        plain = super()._objective(tasks, traits, norm, training)
        learned: Params = {**plain.meta_learned, **self._step_sizes, **self._affine}
        evaluate_query = plain.evaluate_query
        if self._statistics and training:
            # By the query set's own statistics, which are returned.
            recorded = meta_parameters.recorder(self.model, list(self._statistics))
            pure = self._pure("own", traits)
            evaluate_query = query_function(
                pure, self.loss, self.metrics, "transductive", self.precision, recorded
            )
        elif self._statistics and norm == "inductive":
            # By those that were recorded for the step.
            pure = self._pure("running", traits)
            evaluate_query = query_function(
                pure, self.loss, self.metrics, "transductive", self.precision
            )
            learned |= self._statistics
        with torch.no_grad():
            start = self._loop.model_params(learned, self._loop.init(learned), 0)
        return replace(
            plain,
            evaluate_query=evaluate_query,
            start=start,
            compiled=self._compiled(traits, norm, training),
            learned=learned,
        )

    def _compiled(self, traits: Traits, norm: Norm, training: bool) -> Compiled | None:
        compiler = self._compiler
        if compiler is None or compiler.functions.given_up or self._by_block(self.model):
            return None
        if traits.draws_outside or not traits.repeats:
            compiler.functions.give_up("random layers are not compiled: they would draw once")
            return None
        by_query = norm == "transductive" and not self._statistics
        pure = self._pure("own" if training else "evaluation", traits)
        return Compiled(compiler, self.loss, pure, self.metrics, by_query, self.precision)

    def _by_block(self, model: nn.Module) -> bool:
        """Whether the blocks of a network are compiled, and the rest is not worth it."""
        on_cpu = next(model.parameters()).device.type == "cpu"
        return on_cpu and self.precision != "bf16" and has_blocks(model)

    def _gradient(self, outer_step: int) -> partial[Gradient]:
        return partial(
            through_inner_loop(self._order(outer_step), self.memory),
            self._loop,
            importances=importances(self.inner_steps, outer_step, self.multi_step_loss),
            record=bool(self._statistics),
        )

    def _needs_second_derivative(self, outer_step: int) -> bool:
        return self._order(outer_step) == "exact"

    def _order(self, outer_step: int) -> Order:
        return "first" if outer_step < self.first_order_steps else self.order

    @property
    def _loop(self) -> InnerLoop:
        names = tuple(self._adapting_parameters())
        if self._kind_of_steps != "fixed":
            late = [name for name in names if INNER_LR + name not in self._step_sizes]
            if late:
                raise InputError(
                    f"parameter {late[0]!r} requires a gradient only since the learner was made, "
                    "and has no step sizes; make a new learner"
                )
        if self._kind_of_steps == "per-step":
            learned = min(map(len, self._step_sizes.values()))
            if self.inner_steps > learned:
                raise InputError(
                    f"inner_steps is {self.inner_steps}, and step sizes were made for {learned}; "
                    "make a new learner"
                )
        return InnerLoop(
            self.inner_steps, self.inner_lr, names, self._inner_optimizer, self._kind_of_steps
        )

    def _adapting_parameters(self) -> dict[str, nn.Parameter]:
        """Those that adapt, of the model as it is now."""
        if self._adapting[0] == "all":
            return self._plain()
        names = set(adapting_names(self.model, *self._adapting))
        return {name: p for name, p in self._plain().items() if name in names}

    def _plain(self) -> dict[str, nn.Parameter]:
        """Without those that have a value for each step."""
        plain = super()._plain()
        if not self._affine:
            return plain
        return {n: p for n, p in plain.items() if PER_STEP + n not in self._affine}

    def _check_steps(self, steps: int) -> None:
        super()._check_steps(steps)
        per_step = self._kind_of_steps == "per-step" or self._affine or self._statistics
        if per_step and steps > self.inner_steps:
            raise InputError(
                f"steps is {steps}, but step sizes or batch norm were learned for each of "
                f"{self.inner_steps} inner steps; use at most {self.inner_steps} steps, train with "
                f"inner_steps={steps}, or learn nothing per step"
            )
