"""Model-Agnostic Meta-Learning (Finn, Abbeel and Levine 2017, arXiv 1703.03400)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from fewstep.choices import Execution, HeadRows, Memory, Norm, Order, Precision, StepSizes
from fewstep.errors import InputError
from fewstep.execution.compiled import Compiler
from fewstep.execution.executor import MetaGradient
from fewstep.functional.held import Held, held_by
from fewstep.functional.structure import Latest
from fewstep.functional.swapped import Params
from fewstep.learners import meta_parameters as beside
from fewstep.learners.checks import Loss, check_choice
from fewstep.learners.gradient_based import GradientBased, Settings
from fewstep.learners.heads import adapting_names, moved_first, rows_by_class, share_rows
from fewstep.learners.objectives import query_function
from fewstep.learners.schedules import importances
from fewstep.learners.traceable import traceable_of
from fewstep.learners.traits import Traits
from fewstep.metagrad import inner_optimizers
from fewstep.metagrad.inner_loop import INNER_LR, PER_STEP, InnerLoop
from fewstep.metagrad.metrics import Metric
from fewstep.metagrad.objective import Objective
from fewstep.metagrad.unroll import GradientRule, ThroughInnerLoop
from fewstep.tasks import TaskBatch
from fewstep.whole_numbers import check_whole


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
            the loop and chunks by the size of a task, and on CUDA records outer steps as CUDA
            graphs where many of one kind come: all of a training of 1,000 or more, else after 100
            in a row. What cannot be recorded is vectorised or looped, with a line that says why.
            ``"captured"`` records from the first. All give the same gradient (docs/speed.md).
        compile: Compute by functions that `torch.compile` makes, once for each shape of tasks: the
            whole meta-gradient of a meta-batch where it has few operations; otherwise the inner
            gradient and the query, one task after another; nothing of a network with blocks (batch
            norm and what surrounds it in ``nn.Sequential``) on a CPU, which are faster without. It
            needs a C++ compiler, and what the model's code does in Python is fixed by the first
            call.
        precision: ``"float32"``; ``"tf32"`` lets a GPU round the factors of products to ten bits;
            ``"bf16"`` computes the model in bfloat16 by autocast. The parameters stay as they are.
        norm: What batch norm in training mode uses on the query set: the query batch's own
            statistics (``"transductive"``, as in the paper) or the support set's (``"inductive"``).
        adapting: Which parameters adapt: ``"all"``, the ``"head"`` (ANIL), the ``"body"`` without
            the head (BOIL), or names of parameters or modules.
        head: Name of the head; the last ``nn.Linear`` unless given.
        head_rows: ``"separate"`` learns a row of the head for each class; with ``"shared"`` all
            classes start each task from one row, the mean of the head's, so that their order does
            not matter (UnicornMAML, Ye and Chao 2022, arXiv 2106.16245) and `for_ways` makes a
            head of any number of classes. The head has to adapt, and the body does so from the
            second inner step: take several (docs/classes.md).
        inner_optimizer: Makes a step of a gradient: ``"sgd"``, ``"momentum"`` (0.9), ``"adam"``, or
            a pair of functions of your own, as in `fewstep.metagrad.inner_optimizers`:
            ``init(params) -> slots``, ``update(gradients, slots, step) -> (updates, slots)``. It
            starts every task anew.
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

    >>> import torch, fewstep
    >>> x, y = torch.randn(8, 6, 4), torch.arange(3).repeat(8, 2)
    >>> tasks = fewstep.TaskBatch(x, y, x, y)
    >>> learner = fewstep.MAML(torch.nn.Linear(4, 3), inner_lr=0.4)
    >>> optimizer = torch.optim.Adam(learner.parameters())
    >>> loss = learner(tasks)
    >>> loss.backward()
    >>> optimizer.step()
    >>> learner.evaluate(tasks, steps=5).scores.shape
    torch.Size([8, 6])
    >>> learner.adapt(x[0], y[0])(x[0]).shape
    torch.Size([6, 3])
    """

    _PREFIXES: ClassVar[dict[str, str]] = {
        **GradientBased._PREFIXES,
        "_step_sizes": INNER_LR,
        "_affine": PER_STEP,
        "_statistics": PER_STEP,
    }

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
        head_rows: HeadRows = "separate",
        inner_optimizer: str | tuple[Callable[..., Any], Callable[..., Any]] = "sgd",
        step_sizes: StepSizes = "fixed",
        multi_step_loss: int = 0,
        first_order_steps: int = 0,
        per_step_affine: bool = False,
        per_step_statistics: bool = False,
    ) -> None:
        settings = Settings(loss, metrics, execution, precision, norm, order, memory)
        super().__init__(model, inner_lr, inner_steps, settings)
        check_choice("step_sizes", step_sizes, StepSizes)
        check_choice("head_rows", head_rows, HeadRows)
        if compile and execution not in ("auto", "loop"):
            raise InputError(
                f"execution is {execution!r} with compile=True, which computes one task after "
                'another; use execution="loop"'
            )
        self.adapting, self.head = adapting, head
        self.head_rows: HeadRows = head_rows
        self.inner_optimizer, self._compile = inner_optimizer, compile
        self.step_sizes: StepSizes = step_sizes
        self.multi_step_loss = check_whole("multi_step_loss", multi_step_loss)
        self.first_order_steps = check_whole("first_order_steps", first_order_steps)
        self.per_step_affine, self.per_step_statistics = per_step_affine, per_step_statistics
        self._compiler = Compiler() if compile else None
        if per_step_affine:
            self._affine = beside.per_step_affine(model, inner_steps)
        if per_step_statistics:
            self._statistics = beside.per_step_statistics(model, inner_steps)
        start = self._adapting_parameters()
        self._optimizer = inner_optimizers.inner_optimizer(inner_optimizer, dict(start))
        if step_sizes != "fixed":
            self._step_sizes = beside.learned_step_sizes(step_sizes, start, inner_lr, inner_steps)
        self._shared_rows()
        # Of tasks without padding, and with it.
        self._latest: tuple[Latest[Objective], Latest[Objective]] = Latest(), Latest()
        self._latest_loop: Latest[InnerLoop] = Latest()

    def meta_parameters(self) -> dict[str, nn.Parameter]:
        more = self.named("_step_sizes") | self.named("_affine") | self.named("_statistics")
        return super().meta_parameters() | more

    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        found = super().differentiate(tasks, outer_step)
        found = found._replace(gradient=share_rows(found.gradient, self._shared_rows()))
        rows = found.query.statistics
        if rows is None:
            return found
        statistics = beside.named_statistics(self.named("_statistics"), rows.mean(0))
        return MetaGradient(found.query._replace(statistics=None), found.gradient, statistics)

    def _objective(self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool) -> Objective:
        found = self._latest_objective(tasks, traits, norm, training)
        if not (rows := self._shared_rows()):
            return found
        with torch.no_grad():
            start, learned = (share_rows(of, rows) for of in (found.start, found.learned))
            return replace(found, start=start, learned=learned)

    def _latest_objective(
        self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool
    ) -> Objective:
        """The same as before, unless something it depends on is another."""
        compiler, records = self._compiler, training and self._planner.may_record(tasks)
        compiles = compiler is not None and not compiler.functions.given_up
        held = held_by(self._check_fit.readers, self.loss) if records or compiles else None
        if not training or (compiler is None and not records):
            return self._new_objective(tasks, traits, norm, training, held)
        # Making it takes a good part of the time of a small network's outer step.
        latest = compiler.latest if compiler is not None and compiles else self._latest
        return latest[traits.mark is not None].of(
            [norm, self.precision, self.loss, self._metrics, traits, *self._loop_of, *(held or [])],
            lambda: self._new_objective(tasks, traits, norm, training, held),
            # What is not compiled may depend on other attributes of the model's parts.
            lambda objective: objective.traceable is not None,
        )

    def _new_objective(
        self, tasks: TaskBatch, traits: Traits, norm: Norm, training: bool, held: Held
    ) -> Objective:
        plain = super()._objective(tasks, traits, norm, training)
        learned: Params = plain.learned | self.named("_step_sizes") | self.named("_affine")
        evaluate_query = plain.evaluate_query
        statistics = self.named("_statistics")
        if statistics and (training or norm == "inductive"):
            # In training by the query set's own, which are returned; else by those of the step.
            pure = self._pure("own" if training else "running", traits)
            loss = self._loss_for(traits)
            recorded = partial(beside.recorded_row, self.model, [*statistics]) if training else None
            evaluate_query = query_function(
                pure, loss, self._metrics, "transductive", self.precision, recorded
            )
            learned |= {} if training else statistics
        with torch.no_grad():
            start = self._loop.model_params(learned, learned, 0)
        return replace(
            plain,
            evaluate_query=evaluate_query,
            start=start,
            learned=learned,
            traceable=traceable_of(self, self._compiler, traits, norm, training, held),
        )

    def _gradient(self, outer_step: int) -> GradientRule:
        counted, order = self._importances(outer_step), self._order(outer_step)
        loop = self._latest_loop.of(self._loop_of, lambda: self._loop)
        return ThroughInnerLoop(loop, counted, self.per_step_statistics, order, self.memory)

    def _importances(self, outer_step: int) -> tuple[float, ...]:
        return importances(self.inner_steps, outer_step, self.multi_step_loss)

    def _needs_second_derivative(self, outer_step: int) -> bool:
        return self._order(outer_step) == "exact"

    def _order(self, outer_step: int) -> Order:
        return "first" if outer_step < self.first_order_steps else self.order

    @property
    def _loop_of(self) -> list[object]:
        """All that the inner loop depends on, as of the last check that tasks fit the model."""
        adapting = [self.adapting] if isinstance(self.adapting, str) else self.adapting
        beside = (*self.named("_step_sizes").values(), *self.named("_affine").values())
        settings = self.inner_steps, self.inner_lr, self._optimizer, self.step_sizes, self.head
        return [*settings, self.head_rows, self.loss, *adapting, *beside, self._check_fit.made_of]

    @property
    def _loop(self) -> InnerLoop:
        names = tuple(self._adapting_parameters())
        sizes = self.named("_step_sizes")
        beside.check_step_sizes(self.step_sizes, sizes, names, self.inner_steps)
        plain = self.head_rows == "shared" and self._optimizer == inner_optimizers.SGD
        first = moved_first(self.model, self.head, names, self.loss) if plain else None
        settings = self.inner_lr, names, self._optimizer, self.step_sizes
        return InnerLoop(self.inner_steps, *settings, first)

    def _adapting_parameters(self) -> dict[str, nn.Parameter]:
        """Those that adapt, of the model as it is now."""
        if self.adapting == "all":
            return self._plain()
        names = set(adapting_names(self.model, self.adapting, self.head))
        return {name: p for name, p in self._plain().items() if name in names}

    def _shared_rows(self) -> list[str]:
        """The names of what has a row a class and starts each task from the mean of its rows."""
        if self.head_rows == "separate":
            return []
        names = rows_by_class(self.model, self.head, self._adapting_parameters())
        by_element = self.step_sizes == "per-element"
        return [*names, *(INNER_LR + name for name in names if by_element)]

    def _plain(self) -> dict[str, nn.Parameter]:
        """Without those that have a value for each step."""
        affine = self.named("_affine")
        return {n: p for n, p in super()._plain().items() if PER_STEP + n not in affine}

    def _checked(self, steps: int | None, norm: Norm | None) -> int:
        steps = super()._checked(steps, norm)
        per_step = self.step_sizes == "per-step" or self.per_step_affine or self.per_step_statistics
        if per_step and steps > self.inner_steps:
            raise InputError(
                f"steps is {steps}, but step sizes or batch norm were learned for each of "
                f"{self.inner_steps} inner steps; use at most {self.inner_steps} steps, train with "
                f"inner_steps={steps}, or learn nothing per step"
            )
        return steps
