"""TaskSource: where a learner's tasks come from, and what it has to know of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from fewstep.choices import Split
from fewstep.config.registry import Kind
from fewstep.data.columns.preparation import TablePreparation
from fewstep.data.preparation import Preparation
from fewstep.tasks import TaskBatch
from fewstep.whole_numbers import check_whole

SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class TaskSpec:
    """The form of a source's tasks, from which a network and a learner can be made.

    Attributes:
        kind: ``"classification"``, where a target is the number of a class, or ``"regression"``.
        example_shape: Of one example: (channels, height, width) of a picture, (features,) of a row,
            (window, features) of a series.
        outputs: Numbers to predict for one example: the ways, or the width of a target.
        classes: How many classes ``TaskBatch.classes`` tells apart, for ordinary training.
        loss: Of (prediction, target), a scalar.
        metrics: Functions of (prediction, target) by name, the score first; None for the accuracy
            or, in a regression, the loss.
        larger_is_better: Whether more of the score is better.
        categories: Sizes of the blocks at the end of a row that tell a category by a one among
            zeros.

    >>> TaskSpec.classification((1, 28, 28), n_way=5).score
    'accuracy'
    >>> replace(TaskSpec.regression((3,)), metrics={"mae": F.l1_loss}).score
    'mae'
    """

    kind: Kind
    example_shape: tuple[int, ...]
    outputs: int
    classes: int | None = None
    loss: Callable[[Any, Tensor], Tensor] = F.cross_entropy
    metrics: Mapping[str, Callable[[Any, Tensor], Any]] | None = None
    larger_is_better: bool = True
    categories: tuple[int, ...] = ()

    @classmethod
    def classification(
        cls, example_shape: Sequence[int], n_way: int, classes: int | None = None
    ) -> Self:
        """Tasks of ``n_way`` classes, with cross-entropy and accuracy."""
        return cls("classification", tuple(example_shape), n_way, classes)

    @classmethod
    def regression(cls, example_shape: Sequence[int], width: int = 1) -> Self:
        """Tasks of ``width`` numbers an example, with the mean squared error."""
        shape = tuple(example_shape)
        return cls("regression", shape, width, loss=F.mse_loss, larger_is_better=False)

    @property
    def score(self) -> str:
        """Name of the first metric, which decides what initialisation of a training is kept."""
        if self.metrics:
            return next(iter(self.metrics))
        of_loss = "mse" if self.loss is F.mse_loss else "loss"
        return "accuracy" if self.kind == "classification" else of_loss


@dataclass(frozen=True)
class KeptSplit:
    """The classes of each split, or the tasks of a table, and how they were prepared, of a run."""

    classes: Mapping[Split, Sequence[str]]
    preparation: Preparation | TablePreparation | None


class Sampler(Protocol):
    """Anything that makes tasks from their numbers."""

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers; task number i is always the same task."""


class TaskSource(ABC):
    """The tasks of one split. A data set is a frozen dataclass made from it.

    It has `spec`, `batch`, and the fields ``k_shot`` and ``q_query`` (or its own `with_shots`),
    which are 1 or more: anything else is an `InputError`.

    >>> import torch
    >>> @dataclass(frozen=True)
    ... class Lines(TaskSource):
    ...     k_shot: int
    ...     q_query: int
    ...     spec = TaskSpec.regression((1,))
    ...     def batch(self, indices):
    ...         slopes = torch.tensor(indices).float()[:, None, None]
    ...         seeded = [torch.Generator().manual_seed(i) for i in indices]
    ...         examples = self.k_shot + self.q_query
    ...         both = torch.stack([torch.rand(examples, 1, generator=g) for g in seeded])
    ...         x, query_x = both[:, : self.k_shot], both[:, self.k_shot :]
    ...         return TaskBatch(x, slopes * x, query_x, slopes * query_x)
    >>> len(Lines(k_shot=5, q_query=10).batch([0, 1, 2]))
    3
    """

    def __post_init__(self) -> None:
        for name, least in (("n_way", 1), ("k_shot", 1), ("q_query", 1), ("seed", 0)):
            given = getattr(self, name, None)
            if given is None:
                continue
            number = check_whole(name, given, least)
            if type(given) is not int:
                object.__setattr__(self, name, number)  # of a frozen class, too

    @property
    @abstractmethod
    def spec(self) -> TaskSpec:
        """The form of the tasks."""

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers; task number i is always the same task."""

    @property
    def preparation(self) -> Preparation | TablePreparation | None:
        """How a picture or a row of one's own becomes an example, if the examples are such."""
        return None

    def on_device(self, device: torch.device) -> Sampler | None:  # noqa: ARG002
        """The same tasks bit for bit, made on a device; None where they are made on the host."""
        return None

    def with_shots(self, k_shot: int, q_query: int) -> Self:
        """The same source with other numbers of support and query examples."""
        return replace(self, k_shot=k_shot, q_query=q_query)  # type: ignore[type-var]

    def content(self) -> Iterable[bytes | memoryview]:
        """The data themselves, if there are any: a resumed run tells where they changed."""
        return ()


def made_on(tasks: Any, device: torch.device) -> Any:
    """The same tasks, made on the GPU where that is the device and their source can; or as given.

    On the CPU there is nothing to gain.
    """
    make = getattr(tasks, "on_device", None) if device.type == "cuda" else None
    found = make(device) if make else None
    return tasks if found is None else found
