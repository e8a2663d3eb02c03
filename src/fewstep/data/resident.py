"""Pictures that lie on a device as bytes: a meta-batch of theirs is gathered there.

What goes to the device at an outer step is which pictures the tasks have, a few kilobytes.
"""

import math
from collections.abc import Sequence
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewstep.data.images import ImageClasses
from fewstep.tasks import TaskBatch

SHARE = 1 / 4
"""The most that pictures may take of the memory that is free on a device."""

Integers = npt.NDArray[np.int64]
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


class Episodes(Protocol):
    """Tasks of an `EpisodeSampler`, whose fields these are."""

    @property
    def images(self) -> ImageClasses: ...  # noqa: D102
    @property
    def turns(self) -> int: ...  # noqa: D102
    @property
    def n_way(self) -> int: ...  # noqa: D102
    @property
    def k_shot(self) -> int: ...  # noqa: D102
    @property
    def q_query(self) -> int: ...  # noqa: D102

    def chosen(self, indices: Sequence[int]) -> tuple[Integers, Integers]:
        """Which classes tasks have, and which of their pictures."""


class ResidentEpisodes:
    """The same tasks, bit for bit, made on a device.

    Args:
        of: The sampler, which says what each task is; its pictures stay as they are.
        device: Where its pictures are put, and where the tasks are.
    """

    def __init__(self, of: Episodes, device: torch.device) -> None:
        self._of, self._device = of, device
        self._pictures = _resident(of.images, of.turns, device)
        self._first = np.cumsum(of.images.counts) - of.images.counts
        # By a number on the host a GPU multiplies with its inverse, which rounds otherwise.
        self._white = torch.tensor(255.0, device=device)
        ways = torch.arange(of.n_way)
        self._labels = [ways.repeat_interleave(n).to(device) for n in (of.k_shot, of.q_query)]

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers, as `EpisodeSampler.batch` gives them."""
        of, tasks = self._of, len(indices)
        numbers, rows = of.chosen(indices)
        classes, turns = np.divmod(numbers, of.turns)
        total = len(self._pictures) // of.turns
        places = rows + (self._first[classes] + turns * total)[..., None]
        support, query = np.split(places, [of.k_shot], axis=2)
        sent = self._sent([numbers, support, query])
        # Both sets at once, one behind the other.
        pictures = self._pictures.index_select(0, sent[numbers.size :]) / self._white
        x, query_x = (
            part.view(tasks, -1, *pictures.shape[1:])
            for part in torch.split(pictures, [support.size, query.size])
        )
        y, query_y = (labels.repeat(tasks, 1) for labels in self._labels)
        return TaskBatch(x, y, query_x, query_y, sent[: numbers.size].view(numbers.shape))

    def _sent(self, numbers: list[Integers]) -> Tensor:
        """The numbers, one after another, on the device; nothing waits until they are there."""
        flat = torch.from_numpy(np.concatenate([part.ravel() for part in numbers]))
        if self._device.type == "cuda":
            flat = flat.pin_memory()
        return flat.to(self._device, non_blocking=True)


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
