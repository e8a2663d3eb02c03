"""N-way K-shot Q-query tasks drawn from a set of classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from fewstep.choices import Split
from fewstep.config.schema import Config
from fewstep.data.augmentation import UNCHANGED, Augmentation, Integers
from fewstep.data.draws import Draws, generator
from fewstep.data.images import ImageClasses
from fewstep.data.on_demand import OnDemand
from fewstep.data.preparation import Preparation
from fewstep.data.resident import ResidentEpisodes, fits
from fewstep.data.source import Sampler, TaskSource, TaskSpec
from fewstep.errors import InputError
from fewstep.tasks import TaskBatch
from fewstep.whole_numbers import counted

LEAST = 2  # pictures of a class


@dataclass(frozen=True)
class EpisodeSampler(TaskSource):
    """Draws tasks; task number i is always the same task.

    A task has ``n_way`` classes, of each ``k_shot`` support and ``q_query`` query pictures; none is
    in both sets. Another seed or split gives other tasks.

    Attributes:
        rotations: Take each class four times, turned by 0, 90, 180 and 270 degrees, as four
            classes. Class ``c`` turned by ``90 * r`` degrees has the number ``4 * c + r``.
        augmentation: Random changes of each support and query picture, part of the task: which
            classes and pictures it has does not depend on them.

    Raises:
        InputError: There are too few classes or pictures.

    >>> pictures = np.zeros((12, 1, 28, 28), np.uint8)
    >>> images = ImageClasses(pictures, ("a", "b", "c"), np.array([4, 4, 4]))
    >>> EpisodeSampler(images, n_way=2, k_shot=1, q_query=3).batch(range(8)).query_x.shape
    torch.Size([8, 6, 1, 28, 28])
    """

    images: ImageClasses
    n_way: int
    k_shot: int
    q_query: int
    seed: int = 0
    split: Split = "train"
    rotations: bool = False
    augmentation: Augmentation = UNCHANGED

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_way > self.classes:
            raise InputError(
                f"n_way is {self.n_way}, but the {self.split} split has "
                f"{counted(self.classes, 'class', 'classes')}; choose fewer ways"
            )
        fewest = int(self.images.counts.argmin())
        few = int((self.images.counts < LEAST).sum())
        if few:
            # No sum is small enough for them.
            others = f" and {few - 1} more have" if few > 1 else " has"
            raise InputError(
                f"{self.images.names[fewest]!r}{others} fewer than {LEAST} pictures, and a task "
                f"takes {LEAST} of each class at least, one to learn from and one to predict; add "
                "pictures, or do without, as by moving the folder of the class away"
            )
        if self.k_shot + self.q_query > self.images.counts[fewest]:
            raise InputError(
                f"k_shot {self.k_shot} + q_query {self.q_query} = {self.k_shot + self.q_query} "
                f"pictures of each class, but {self.images.names[fewest]!r} has "
                f"{self.images.counts[fewest]}; choose a smaller sum, or do without that class"
            )

    @property
    def spec(self) -> TaskSpec:
        """Pictures as ``[channels, height, width]``, and one output a way."""
        return TaskSpec.classification(self.images.pictures.shape[1:], self.n_way, self.classes)

    @property
    def preparation(self) -> Preparation | None:
        """That of the pictures."""
        return self.images.preparation

    @property
    def classes(self) -> int:
        """How many classes tasks are drawn from, rotated ones included."""
        return len(self.images) * self.turns

    @property
    def turns(self) -> int:
        """How many classes are made of each by turning its pictures."""
        return 4 if self.rotations else 1

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers.

        Returns:
            Pictures as ``float32 [tasks, n_way * examples, channels, height, width]`` from 0 to
            1, class by class; labels as ``int64 [tasks, n_way * examples]`` from 0 to n_way - 1.
        """
        classes, pictures = map(np.stack, zip(*map(self._draw, indices), strict=True))
        support, query = np.split(pictures, [self.k_shot], axis=2)
        return TaskBatch(
            self._tensor(support),
            self._labels(len(indices), self.k_shot),
            self._tensor(query),
            self._labels(len(indices), self.q_query),
            torch.from_numpy(classes),
        )

    def on_device(self, device: torch.device) -> Sampler | None:
        """The same tasks, from pictures that lie on a device.

        None where there are too many, or where colours change, which is computed on the host.

        >>> pictures = np.zeros((12, 1, 28, 28), np.uint8)
        >>> images = ImageClasses(pictures, ("a", "b", "c"), np.array([4, 4, 4]))
        >>> here = EpisodeSampler(images, 2, 1, 3).on_device(torch.device("cpu"))
        >>> here.batch([7]).query_x.shape
        torch.Size([1, 6, 1, 28, 28])
        """
        if self.augmentation.colour or not fits(self.images, self.turns, device):
            return None
        return ResidentEpisodes(self.images, self.draws, self.k_shot, device)

    def content(self) -> Iterator[bytes | memoryview]:
        """The split and the pictures."""
        yield f"{self.split} ".encode()
        yield from self.images.content()

    @property
    def draws(self) -> Draws:
        """Which classes and pictures the tasks have."""
        examples = self.k_shot + self.q_query
        counts = self.images.counts
        given = self.seed, self.split, self.augmentation
        return Draws(counts, self.turns, self.n_way, examples, *given)

    def _draw(self, index: int) -> tuple[Integers, npt.NDArray[np.uint8]]:
        """One task: its classes and ``uint8 [n_way, examples, channels, height, width]``."""
        random = generator(self.seed, self.split, index)
        rows = np.empty((self.n_way, self.k_shot + self.q_query), np.int64)
        numbers = self.draws.choose(random, rows)
        classes, turns = np.divmod(numbers, self.turns)
        pictures = self.images.pictures[rows + self.images.starts[classes][:, None]]
        turned = np.stack(list(map(partial(np.rot90, axes=(-2, -1)), pictures, turns)))
        # Drawn last, so that it changes nothing of what was drawn before.
        changed = self.augmentation(turned.reshape(-1, *turned.shape[2:]), random)
        return numbers, changed.reshape(turned.shape)

    def _labels(self, tasks: int, examples: int) -> torch.Tensor:
        return torch.arange(self.n_way).repeat_interleave(examples).repeat(tasks, 1)

    def _tensor(self, pictures: npt.NDArray[np.uint8]) -> torch.Tensor:
        """``[tasks, n_way, examples, ...]`` bytes to ``[tasks, n_way * examples, ...]`` floats."""
        flat = pictures.reshape(len(pictures), -1, *pictures.shape[3:])
        return torch.from_numpy(np.ascontiguousarray(flat)).float() / 255


def episodes(images: Mapping[str, ImageClasses], config: Config) -> Mapping[Split, TaskSource]:
    """The tasks that a config asks for, of the classes of each split."""
    in_training = Augmentation(config.flip, config.crop, config.colour)

    def of(split: Split) -> TaskSource:
        return EpisodeSampler(
            images[split],
            config.ways(split),
            *config.shots(split),
            config.seed,
            split,
            rotations=config.rotations and split == "train",
            augmentation=in_training if split == "train" else UNCHANGED,
        )

    return OnDemand(of)
