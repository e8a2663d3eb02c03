"""JapaneseVowels as aeon ships it: two vowels in a row, spoken by nine men, and tasks of them.

Kudo, Toyama and Shimbo 1999; 12 LPC cepstrum coefficients at each of 7 to 29 times.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fewstep import TaskBatch
from fewstep.data.columns.windows import window_rows
from fewstep.data.draws import generator
from fewstep.data.source import TaskSource, TaskSpec

LENGTH, FEATURES = 29, 12
MIXED = 60  # utterances of a mixture
Series = npt.NDArray[np.float32]
Utterances = dict[str, list[Series]]  # of each speaker, ``[times, FEATURES]``


def read(path: Path) -> Utterances:
    """The utterances of both files: of aeon's wheel, or in a folder."""
    folder = "aeon/datasets/data/JapaneseVowels/"
    place = zipfile.Path(path, folder) if path.suffix == ".whl" else path
    found: Utterances = {}
    for part in ("TRAIN", "TEST"):
        text = (place / f"JapaneseVowels_{part}.ts").read_text("utf-8")
        for line in text.partition("@data\n")[2].split():
            *rows, speaker = line.split(":")
            series = np.array([row.split(",") for row in rows], np.float32).T
            found.setdefault(speaker, []).append(series)
    return dict(sorted(found.items()))


def prepared(of: Utterances, speakers: Sequence[str], training: Sequence[str]) -> dict[str, Tensor]:
    """``[utterances, LENGTH, FEATURES]`` of some speakers, standardised by those of training.

    A shorter one is filled up in front with its first row, as a window of a table is.
    """
    rows = np.concatenate([series for name in training for series in of[name]])
    mean, std = rows.mean(0), rows.std(0)

    def filled(series: Series) -> Series:
        last = np.array(len(series) - 1)
        windows: Series = series[window_rows(last, np.array(0), LENGTH)]
        return (windows - mean) / std

    return {name: torch.from_numpy(np.stack([*map(filled, of[name])])) for name in speakers}


def with_mixtures(of: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The speakers, and for each two of them a made-up one whose utterances are means of both.

    Six speakers are few classes to learn to adapt on. Pre-training has the same classes.
    """
    random = torch.Generator().manual_seed(0)
    found = dict(of)
    for first, second in combinations(of, 2):
        halves = [
            of[name][torch.randint(len(of[name]), (MIXED,), generator=random)] / 2
            for name in (first, second)
        ]
        found[f"{first}+{second}"] = halves[0] + halves[1]
    return found


@dataclass(frozen=True, eq=False)
class SpeakerTasks(TaskSource):
    """Tasks to tell speakers by their utterances; ``classes`` are the numbers of the speakers."""

    utterances: Mapping[str, Tensor]
    n_way: int
    k_shot: int
    q_query: int
    seed: int = 0
    split: str = "train"

    @property
    def spec(self) -> TaskSpec:
        """The form of the tasks."""
        shape = (LENGTH, FEATURES)
        return TaskSpec.classification(shape, self.n_way, len(self.utterances))

    def batch(self, indices: Sequence[int]) -> TaskBatch:
        """The tasks of these numbers."""
        xs, numbers = zip(*map(self._task, indices), strict=True)
        x = torch.stack(xs)
        y = torch.arange(self.n_way).expand(len(xs), self.n_way)
        parts = []
        for of_part, many in zip(
            x.split([self.k_shot, self.q_query], 2), (self.k_shot, self.q_query), strict=True
        ):
            parts += [of_part.flatten(1, 2), y.repeat_interleave(many, 1)]
        return TaskBatch(*parts, classes=torch.stack(numbers))

    def _task(self, index: int) -> tuple[Tensor, Tensor]:
        """``[n_way, k_shot + q_query, LENGTH, FEATURES]``, and which speakers they are."""
        random = generator(self.seed, self.split, index)
        names = list(self.utterances)
        chosen = random.choice(len(names), self.n_way, replace=False)
        drawn = []
        for number in chosen:
            of = self.utterances[names[number]]
            drawn.append(of[random.choice(len(of), self.k_shot + self.q_query, replace=False)])
        return torch.stack(drawn), torch.from_numpy(chosen)
