"""Pictures that lie on a device as bytes: a meta-batch of theirs is gathered there.

What goes to the device at an outer step is which pictures the tasks have, a few kilobytes.
"""

import math
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from fewstep.data.augmentation import UNCHANGED
from fewstep.data.draws import Draws
from fewstep.data.images import ImageClasses
from fewstep.tasks import TaskBatch

SHARE = 1 / 4
"""The most that pictures may take of the memory that is free on a device."""
LARGEST = 2**28
"""Bytes of the pictures of tasks that are evaluated at once."""
BLOCK = 16
"""Meta-batches whose tasks are drawn and sent to the device at once."""

Place = tuple[int, torch.device]
_there: WeakKeyDictionary[ImageClasses, dict[Place, Tensor]] = WeakKeyDictionary()
"""Pictures by how many turns of each and by device, for all samplers of the same."""


def fits(images: ImageClasses, turns: int, device: torch.device) -> bool:
    """Whether the pictures, each turned so many times, lie on a device or may be put there."""
    channels, height, width = images.pictures.shape[1:]
    if turns > 1 and height != width:
        return False
    if (turns, device) in _there.get(images, ()):
        return True
    size = int(images.counts.sum()) * channels * height * width * turns
    return bool(size <= SHARE * _free(device))


class ResidentEpisodes:
    """Tasks bit for bit those of an `EpisodeSampler`, made on a device.

    Args:
        images: The pictures, which stay as they are.
        draws: Which of them the tasks have.
        k_shot: How many of each class are support examples.
        device: Where the pictures are put, and where the tasks are.
    """

    def __init__(
        self, images: ImageClasses, draws: Draws, k_shot: int, device: torch.device
    ) -> None:
        self._draws, self._device = draws, device
        self._pictures = _resident(images, draws.turns, device)
        self._places = _Places(draws, k_shot)
        # By a number on the host a GPU multiplies with its inverse, which rounds otherwise.
        self._white = torch.tensor(255.0, device=device)
        ways, sizes = torch.arange(draws.n_way), (k_shot, draws.examples - k_shot)
        self._labels = [ways.repeat_interleave(size).to(device) for size in sizes]

    @property
    def at_once(self) -> int:
        """How many tasks may be asked for at once: few take a GPU as long as many."""
        of_a_task = self._draws.n_way * self._draws.examples * self._pictures[0].numel() * 4
        return max(20, min(100, LARGEST // of_a_task))

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers, as `EpisodeSampler.batch` gives them."""
        return self._gathered(self._sent(self._places(indices)), len(indices))

    def in_order(self, numbers: Sequence[Sequence[int]]) -> Iterator[TaskBatch]:
        """The tasks of all these numbers, one batch after another, drawn ahead by another process.

        To draw 32 tasks takes a millisecond, and there are devices that compute with them in two.
        """
        blocks = [numbers[first : first + BLOCK] for first in range(0, len(numbers), BLOCK)]
        drawn: DataLoader[Tensor] = DataLoader(
            blocks,  # type: ignore[arg-type] # a list is a dataset
            batch_size=None,
            collate_fn=self._places.of_several,
            num_workers=1,
            generator=torch.Generator(),  # or it would draw from that of everybody
        )
        for block, places in zip(blocks, drawn, strict=True):
            sizes = [len(of_batch) * self._places.of_a_task for of_batch in block]
            parts = torch.split(self._sent(places), sizes)
            for of_batch, part in zip(block, parts, strict=True):
                yield self._gathered(part, len(of_batch))

    def _gathered(self, places: Tensor, tasks: int) -> TaskBatch:
        """The tasks whose classes and pictures are at these places."""
        ways = self._draws.n_way
        classes, both = places[: tasks * ways], places[tasks * ways :]
        # Both sets at once, one behind the other.
        both, *moves = torch.split(both, len(both) // self._places.of_a_picture)
        pictures = self._moved(self._pictures.index_select(0, both), *moves) / self._white
        sizes = [tasks * len(labels) for labels in self._labels]
        x, query_x = (
            part.view(tasks, -1, *part.shape[1:]) for part in torch.split(pictures, sizes)
        )
        y, query_y = (labels.repeat(tasks, 1) for labels in self._labels)
        return TaskBatch(x, y, query_x, query_y, classes.view(tasks, ways))

    def _moved(self, pictures: Tensor, *moves: Tensor) -> Tensor:
        """``[pictures, channels, height, width]``, mirrored and cut out as `Augmentation` does."""
        change = self._draws.augmentation
        if change.flip:
            mirrored = moves[0].bool()[:, None, None, None]
            pictures = torch.where(mirrored, pictures.flip(-1), pictures)
        if change.crop:
            _, _, height, width = shape = pictures.shape
            pictures = F.pad(pictures, [change.crop] * 4)
            rows = moves[1][:, None] + torch.arange(height, device=self._device)
            columns = moves[2][:, None] + torch.arange(width, device=self._device)
            whole = (*shape[:3], pictures.shape[3])
            pictures = pictures.gather(2, rows[:, None, :, None].expand(whole))
            pictures = pictures.gather(3, columns[:, None, None, :].expand(shape))
        return pictures

    def _sent(self, places: Tensor) -> Tensor:
        """The places on the device; nothing waits until they are there."""
        if self._device.type == "cuda":
            places = places.pin_memory()
        return places.to(self._device, non_blocking=True)


class _Places:
    """Where the classes and pictures of tasks are; it holds no picture, for another process."""

    def __init__(self, draws: Draws, k_shot: int) -> None:
        self._draws, self._k_shot = draws, k_shot
        self._first = np.cumsum(draws.counts) - draws.counts
        # Its place, and how it is moved where any is.
        self.of_a_picture = 1 if draws.augmentation == UNCHANGED else 4
        self.of_a_task = draws.n_way * (1 + self.of_a_picture * draws.examples)

    def __call__(self, indices: Sequence[int]) -> Tensor:
        """``int64``: the classes of all tasks, their support pictures, their query pictures.

        Where pictures are moved, there follow for all of them which are mirrored, tops and lefts.
        """
        numbers, rows, moves = self._draws(indices)
        classes, turns = np.divmod(numbers, self._draws.turns)
        total = int(self._draws.counts.sum())
        places = rows + (self._first[classes] + turns * total)[..., None]
        each = [places, *moves.swapaxes(0, 1)][: self.of_a_picture]
        k_shot = self._k_shot
        parts = [numbers, *(p for of in each for p in (of[..., :k_shot], of[..., k_shot:]))]
        return torch.from_numpy(np.concatenate([part.ravel() for part in parts]))

    def of_several(self, batches: Sequence[Sequence[int]]) -> Tensor:
        """Those of several batches, one behind the other."""
        return torch.cat([self(indices) for indices in batches])


def _free(device: torch.device) -> float:
    """Bytes that are free on a GPU, and on the CPU as many as one likes."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else math.inf


def _resident(images: ImageClasses, turns: int, device: torch.device) -> Tensor:
    """``uint8 [turns * pictures, channels, height, width]``: all, then all turned once, ..."""
    found = _there.setdefault(images, {})
    if (turns, device) not in found:
        found[turns, device] = _put(images, turns, device)
    return found[turns, device]


def _put(images: ImageClasses, turns: int, device: torch.device) -> Tensor:
    total = int(images.counts.sum())
    placed = torch.empty(turns, total, *images.pictures.shape[1:], dtype=torch.uint8, device=device)
    begin = 0
    for number in range(len(images)):
        # One class after another: they may lie in a file that is larger than the memory.
        pictures = torch.from_numpy(np.array(images.of(number)))
        placed[0, begin : begin + len(pictures)] = pictures.to(device)
        begin += len(pictures)
    for turn in range(1, turns):
        placed[turn] = placed[0].rot90(turn, (-2, -1))
    return placed.flatten(0, 1)
