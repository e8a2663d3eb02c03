"""The interface of all learners: a module that is trained, evaluated and adapted like any other."""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from fewstep.choices import Norm
from fewstep.execution.executor import MetaGradient
from fewstep.functional.swapped import Params
from fewstep.learners.known_gradient import with_gradient_of
from fewstep.learners.meta_parameters import move_statistics
from fewstep.learners.names import NamedModule, ParameterTree
from fewstep.learners.untraced import untraced
from fewstep.metagrad.metrics import Metric
from fewstep.tasks import Inputs, TaskBatch
from fewstep.whole_numbers import check_whole

if TYPE_CHECKING:
    # A learner of one's own needs neither, and to import them takes time.
    from fewstep.config.schema import Config
    from fewstep.data.any_preparation import AnyPreparation


class Predictions(NamedTuple):
    """Predictions for the query examples of all tasks, one task after another, without padding.

    Attributes:
        logits: ``[examples, ways]``, a number for each class, as the model returns them.
        labels: ``[examples]``, the targets.
    """

    logits: Tensor
    labels: Tensor


class Evaluation(NamedTuple):
    """How the tasks were solved after each number of inner steps.

    Attributes:
        losses: ``[tasks, steps + 1]``, the query loss after 0, 1, ..., steps inner steps.
        metrics: ``{name: [tasks, steps + 1]}``, those of the learner; accuracy is a fraction.
        predictions: After the last inner step, where they are numbers for classes.
    """

    losses: Tensor
    metrics: dict[str, Tensor]
    predictions: Predictions | None = None

    @property
    def scores(self) -> Tensor:
        """``[tasks, steps + 1]``, the first metric."""
        return next(iter(self.metrics.values()))

    @classmethod
    def cat(cls, parts: Sequence["Evaluation"]) -> "Evaluation":
        """That of the tasks of all parts; without predictions where not all have as many ways."""
        losses = torch.cat([part.losses for part in parts])
        names = parts[0].metrics
        metrics = {name: torch.cat([part.metrics[name] for part in parts]) for name in names}
        found = [part.predictions for part in parts if part.predictions is not None]
        ways = {logits.shape[1] for logits, _ in found}
        if len(found) < len(parts) or len(ways) > 1:
            return cls(losses, metrics)
        logits, labels = zip(*found, strict=True)
        return cls(losses, metrics, Predictions(torch.cat(logits), torch.cat(labels)))


class Learner(NamedModule, ABC):
    """Learns an initialisation from tasks, and adapts it to a new one.

    It is an ``nn.Module`` whose forward is the query loss after adaptation, for the ordinary loop:
    ``loss = learner(tasks); loss.backward(); optimizer.step()``.

    Attributes:
        preparation: How a picture or a row of a table becomes an example, where it was trained on
            such: a learner of a loaded run knows, and one that `fewstep.fit` trained on a source
            that does.
        config: The settings of the run of the command line that it was loaded from.
        temperature: What its outputs are divided by before they become probabilities.
        half_widths: Of the 95% interval of a prediction by the number of support rows, in the unit
            of the target; None where its run has not measured them.
        coverage: Share of the rows of test tasks that such intervals held, by the same numbers.
    """

    preparation: "AnyPreparation | None" = None
    config: "Config | None" = None
    temperature: float = 1.0
    half_widths: Mapping[int, float] | None = None
    coverage: Mapping[int, float] | None = None
    tasks_are_independent: ClassVar[bool] = True
    """Whether the gradient of several tasks is the mean of theirs, wherever each is computed."""
    inner_steps: int

    @abstractmethod
    def meta_parameters(self) -> dict[str, nn.Parameter]:
        """All that the outer loop changes, by name. Running statistics require no gradient."""

    @abstractmethod
    def differentiate(self, tasks: TaskBatch, outer_step: int = 0) -> MetaGradient:
        """The gradient of `meta_gradient`, with the loss and the metrics of each task."""

    def expect(self, outer_steps: int | None) -> None:
        """Tell how many outer steps a training takes in all, or None when it has ended.

        What takes long at first and makes each of them faster is done for many of them only.
        """

    @abstractmethod
    def query_losses(self, tasks: TaskBatch, outer_step: int = 0) -> Tensor:
        """``[tasks]``, the losses whose mean `meta_gradient` differentiates, without a graph."""

    @abstractmethod
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

    @abstractmethod
    def adapt(
        self, x: Inputs, y: Tensor, steps: int | None = None, norm: Norm | None = None
    ) -> nn.Module:
        """The model adapted to one task.

        Classes may have different numbers of examples. The inner loss is the plain mean over
        examples, as is usual in the field, so a class weighs as many as it has; a prototype is the
        mean of its own class.

        Args:
            x: ``[examples, ...]``, the support set.
            y: ``[examples, ...]``, its targets.
            steps: How many inner steps; the learner's own number unless given.
            norm: Which statistics batch norm of the result uses: those of ``x`` (``"inductive"``,
                the default; those recorded for the step where the learner is inductive and records
                them), or of each batch that it is called with (``"transductive"``).

        Returns:
            A copy of the model in eval mode, ready to call with one example or with many. Its
            `state_dict` fits the model.

        Raises:
            InputError: The examples do not fit the model or the loss.
        """

    @untraced
    def forward(self, tasks: TaskBatch, outer_step: int = 0) -> Tensor:
        """The loss of `meta_gradient`, whose ``backward`` hands its gradient to the parameters.

        In training mode it moves the running statistics that the learner records for each inner
        step, as batch norm does. Under ``torch.no_grad()`` it computes the loss alone, and
        nothing moves. The loss is a scalar, and can be differentiated once. Arguments and errors
        are those of `meta_gradient`.
        """
        outer_step = check_whole("outer_step", outer_step)
        if not torch.is_grad_enabled():
            return self.query_losses(tasks, outer_step).mean()
        found = self.differentiate(tasks, outer_step)
        if self.training:
            self.update_statistics(found.statistics or {})
        return with_gradient_of(found.query.losses.mean(), found.gradient, self.meta_parameters())

    @untraced
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
                not finite. On CUDA, where to look is to wait, the loss itself tells that.
        """
        outer_step = check_whole("outer_step", outer_step)
        result = self.differentiate(tasks, outer_step)
        return result.query.losses.mean(), result.gradient

    def update_statistics(self, statistics: Params) -> None:
        """Move the running statistics towards those that `differentiate` found of a meta-batch."""
        move_statistics(self.meta_parameters(), statistics)

    def with_metrics(self, metrics: Mapping[str, Metric]) -> "Learner":
        """The same learner with other metrics: it shares all its parts with this one."""
        other = copy.copy(self)
        vars(other).update(metrics=metrics)
        return other

    def variants(self) -> "dict[str, Learner]":
        """The ways in which it adapts, by name; "" where there is but one."""
        return {"": self}

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """All that the outer loop changes, with the names that `meta_gradient` uses.

        The model's own names; ``loss.NAME``, a parameter of the loss; ``inner_lr.NAME``, the step
        sizes of a parameter; ``per_step.NAME``, a row for each number of inner steps. Running
        statistics are among them and require no gradient.
        """
        # A learner holds none but in its parts.
        for name, parameter in self.meta_parameters().items() if recurse else ():
            yield f"{prefix}.{name}" if prefix else name, parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers of the model and the loss, and the running statistics recorded beside them.

        `DistributedDataParallel` gives all ranks the first one's, as it does for batch norm.
        """
        yield from super().named_buffers(prefix, recurse, remove_duplicate)
        for part, tree in self.named_modules(prefix=prefix) if recurse else ():
            if isinstance(tree, ParameterTree) and not tree.learned:
                yield from tree.named_parameters(part)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let every parameter of the model, the loss and what is learned beside them, or none."""
        for part in self.children():
            part.requires_grad_(requires_grad)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all layers, such as dropout, but norms.

        A norm's mode says whether it uses statistics of batches (``norm`` says which) or running
        ones. That stays the choice of whoever made the model.
        """
        norms = {part: part.training for part in self.modules() if isinstance(part, _NormBase)}
        super().train(mode)
        for part, training in norms.items():
            part.training = training
        return self

    def extra_repr(self) -> str:
        """The settings that are not the usual ones."""
        told, own = [], vars(self)
        for name, usual in inspect.signature(type(self)).parameters.items():
            value = own.get(name, own.get(f"_{name}", usual.default))
            if value != usual.default or name in ("inner_lr", "inner_steps"):
                told.append(f"{name}={_short(value)}")
        return ", ".join(told)

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> set[str]:
        """Names of parameters that get no gradient, as `DistributedDataParallel` asks for them."""
        learned = {id(parameter) for parameter in self.meta_parameters().values()}
        every = nn.Module.named_parameters(self, remove_duplicate=False)
        return {name for name, parameter in every if id(parameter) not in learned}


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(value)}}}"
    return str(getattr(value, "__name__", None) or repr(value))
