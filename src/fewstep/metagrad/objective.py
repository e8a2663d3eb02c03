"""One task: its support loss and its query loss, as pure functions of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor, nn

from fewstep.choices import Precision
from fewstep.functional.call import PureModel
from fewstep.functional.held import token
from fewstep.functional.structure import settings
from fewstep.functional.swapped import Params
from fewstep.metagrad.masking import Mark
from fewstep.metagrad.metrics import Metrics
from fewstep.runtime.compile_cache import CompiledFunctions
from fewstep.tasks import Inputs

QueryOutput = tuple[Tensor, list[Tensor], list[Tensor]]  # loss, what metrics need, statistics


class QueryResult(NamedTuple):
    """Losses and metrics of adapted parameters on the query sets of tasks."""

    losses: Tensor  # [tasks]
    metrics: dict[str, Tensor]  # each [tasks]
    statistics: Tensor | None = None  # [tasks, ...], of batch norm; None where nobody asks

    @property
    def scores(self) -> Tensor:
        """``[tasks]``, the first metric."""
        return next(iter(self.metrics.values()))

    def detach(self) -> QueryResult:
        """The same without a graph."""
        statistics = None if self.statistics is None else self.statistics.detach()
        return QueryResult(self.losses.detach(), self.metrics, statistics)


EvaluateQuery = Callable[[Params], QueryResult]  # of adapted parameters


class Labels(NamedTuple):
    """Labels of ``classes`` classes, from 0, and one more that does not count."""

    classes: int
    ignored: int


@dataclass(frozen=True, eq=False)
class Traceable:
    """The parts of a task's losses, for a compiler to follow.

    Attributes:
        functions: What is compiled for one task; None where outer steps may be recorded instead.
        by_query: Whether batch norm uses the statistics of the query set; only then is the query
            loss compiled.
        held: Values that the code of model and loss may read, beside tensors and settings.
        labels: Those that targets are; None where they are none.
    """

    functions: CompiledFunctions | None
    pure: PureModel
    loss: Callable[[Any, Tensor], Tensor]
    precision: Precision
    by_query: bool
    held: list[object] = field(default_factory=list)
    labels: Labels | None = None

    @property
    def learned_alone(self) -> bool:
        """Whether the model has no buffers, and no weights that stay fixed."""
        learned = all(tensor.requires_grad for tensor in self.pure.tensors.values())
        return learned and not self.pure.buffers

    @cached_property
    def modes(self) -> tuple[bool, ...]:
        """Whether each part of the model is in training mode."""
        return tuple(training for _, training in self.pure.modes)

    @cached_property
    def kind(self) -> Hashable:
        """The layers with their settings, the precision, the loss, and what their code reads."""
        layers = tuple(
            (type(part), training or type(part) in _WITHOUT_MODES, settings(part))
            for part, training in self.pure.modes
        )
        read = tuple(map(token, (self.loss, *self.held)))
        return layers, self.precision, read, self.labels


@dataclass(frozen=True)
class Objective:
    """Support loss and query loss of a task, as pure functions of the parameters."""

    support_loss: Callable[[Params, Inputs, Tensor], Tensor]  # of support_x and support_y
    evaluate_query: Callable[[Params, Inputs, Inputs, Tensor], QueryOutput]
    start: Params  # theta_0
    learned: Params  # all that is meta-learned
    metrics: Metrics
    needs_gradients: bool = False  # the model takes derivatives when it predicts
    # Several tasks at once would be what they are alone. Where the model draws from generators that
    # are not PyTorch's, those would be asked once for all.
    vectorisable: bool = True
    modes: tuple[bool, ...] = ()  # of all parts of the model, while it is called
    traceable: Traceable | None = None  # the same for a compiler, if anything is to be compiled
    padding: Padding | None = None  # where targets that have a mark are left out

    def unmasked(self) -> Objective:
        """The same, of all targets."""
        return replace(self.padding.unmasked(), metrics=self.metrics) if self.padding else self


class Padding(NamedTuple):
    """The mark of padding that an objective leaves out, and one that takes all as targets."""

    mark: Mark
    unmasked: Callable[[], Objective]


_WITHOUT_MODES = (
    *(nn.Sequential, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Flatten, nn.LayerNorm, nn.GroupNorm),
    *(nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Embedding),
)
"""Evaluation puts all layers into eval mode; for these alone nothing has to be compiled again."""
