"""Which classes and pictures a task has: drawn from its number, without the pictures themselves."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fewstep.data.augmentation import UNCHANGED, Augmentation, Integers


def generator(seed: int, split: str, index: int) -> np.random.Generator:
    """The random numbers of one task: a function of (seed, split, index) and of nothing else."""
    return np.random.default_rng([seed, zlib.crc32(split.encode()), index])


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws N-way tasks; task number i is always the same one.

    Attributes:
        counts: ``int64 [classes]``, how many pictures each class has.
        turns: How many classes are made of each by turning its pictures.
        n_way: Classes of a task.
        examples: Pictures of each, the support set first.
        seed: Another one gives other tasks.
        split: Likewise.
        augmentation: How the pictures change.

    >>> draws = Draws(np.array([4, 4, 9]), 1, 2, 3, seed=0, split="train")
    >>> classes, pictures, moves = draws([7, 8])
    >>> classes.shape, pictures.shape, moves.shape
    ((2, 2), (2, 2, 3), (2, 3, 2, 3))
    """

    counts: Integers
    turns: int
    n_way: int
    examples: int
    seed: int
    split: str
    augmentation: Augmentation = UNCHANGED

    def __call__(self, indices: Sequence[int]) -> tuple[Integers, Integers, Integers]:
        """The tasks of these numbers.

        Returns:
            ``int64 [tasks, n_way]``, the numbers of classes, of which turned ones have their own:
            class ``c`` after ``r`` of ``turns`` has ``turns * c + r``;
            ``int64 [tasks, n_way, examples]``, the numbers of pictures within each class;
            ``int64 [tasks, 3, n_way, examples]``, how each is moved: see `Augmentation.moves`.
        """
        numbers = np.empty((len(indices), self.n_way), np.int64)
        rows = np.empty((*numbers.shape, self.examples), np.int64)
        moves = np.zeros((len(indices), 3, *rows.shape[1:]), np.int64)
        for number, index in enumerate(indices):
            random = generator(self.seed, self.split, index)
            numbers[number] = self.choose(random, rows[number])
            if self.augmentation != UNCHANGED:
                found = self.augmentation.moves(rows[number].size, random)
                moves[number] = np.stack(found).reshape(moves[number].shape)
        return numbers, rows, moves

    def choose(self, random: np.random.Generator, rows: Integers) -> Integers:
        """The classes of a task; the pictures of each, ``[n_way, examples]``, are put into rows."""
        counts, turns, examples = self.counts, self.turns, self.examples
        numbers: Integers = random.choice(len(counts) * turns, self.n_way, replace=False)
        for way, number in enumerate(numbers.tolist()):
            rows[way] = random.permutation(counts[number // turns])[:examples]
        return numbers
