"""The config of a run: all its settings, the flags of the help and ``config.json`` alike.

A new setting is one field in `fewstep.config.groups`; what it cannot go with is told here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewstep.config.algorithms import ALGORITHMS
from fewstep.config.groups import (
    Adaptation,
    Evaluation,
    Machine,
    Network,
    OuterLoop,
    Specialist,
    Task,
)
from fewstep.config.limits import check_numbers
from fewstep.config.registry import DATA_SETS, NETWORKS, DataSet, Kind, network_key
from fewstep.config.registry import Network as NetworkEntry
from fewstep.errors import InputError

_OF_CLASSES = [name for name, row in ALGORITHMS.items() if row.needs_classes]


@dataclass(frozen=True)
class Config(Specialist, Machine, Evaluation, OuterLoop, Adaptation, Network, Task):
    """All settings of a run; fields come in the order of the bases, from the last."""

    def __post_init__(self) -> None:
        check_numbers(self)
        if network_key(self.model) not in NETWORKS or self.model.endswith("/"):
            raise InputError(
                f"model is {self.model!r}; expected one of {', '.join(NETWORKS)}, as in "
                "timm/resnet18"
            )
        for told in self._contradictions():
            raise InputError(told)

    def _contradictions(self) -> Iterator[str]:
        """A sentence for each of the settings that do not go together."""
        kind = self.kind
        examples = self.data_set.examples if self.window is None else "series"
        if (self.data == "table") != (self.table is not None):
            yield (
                f"data is {self.data} and the table {self.table or 'not given'}; a table comes "
                "first and data is left out, as in fewstep train exams.csv --task school"
            )
        if (self.data == "folder") != (self.folder is not None):
            yield (
                f"data is {self.data} and the folder of pictures {self.folder or 'not given'}; a "
                "folder comes first and data is left out, as in fewstep train photos/"
            )
        if self.window is not None and self.time is None:
            yield (
                f"window is {self.window} and no time is given; name the column that tells the "
                "order of rows, as in --time hour"
            )
        if self.network.examples != examples:
            suited = [name for name, network in NETWORKS.items() if network.examples == examples]
            if self.table and self.network.examples == "series":
                yield (
                    f"model {self.model} takes series; give how many rows are one, as in --time "
                    f"{self.time or 'COLUMN'} --window 10, or model {' or '.join(suited)} for rows"
                )
            yield (
                f"data {self.data} with model {self.model}; {examples} need model "
                f"{' or '.join(suited)}"
            )
        if (kind == "regression" or self.table) and self.algorithm in _OF_CLASSES:
            new = "new classes in each task" if self.table else "classes"
            yield (
                f"data {self.data} with model {self.model} and algorithm {self.algorithm}; "
                f"expected an algorithm other than {', '.join(_OF_CLASSES)}, which need {new}"
            )
        if kind == "classification" and ALGORITHMS[self.algorithm].needs_numbers:
            yield (
                f"algorithm is {self.algorithm} with classes to predict, and it solves for "
                "numbers; choose another, such as maml"
            )
        if kind == "classification" and self.n_way < 2:
            yield f"n_way is {self.n_way}; expected 2 or more, as in --n-way 5"
        if (kind == "regression" or self.table) and self.head_rows == "shared":
            new = "new classes in each task" if self.table else "classes"
            yield f"head_rows is shared with data {self.data}; it needs {new}: leave it out"
        of_any_ways = self.head_rows == "shared" or ALGORITHMS[self.algorithm].needs_classes
        if self.ways("test") != self.n_way and not of_any_ways:
            yield (
                f"test_n_way is {self.test_n_way} and n_way {self.n_way}, and each class has a row "
                f"of the last layer of its own; choose --n-way {self.ways('test')}"
            )
        if self.kind == "classification" and self.ways("test") < 2:
            yield f"test_n_way is {self.test_n_way}; expected 2 or more, as in --test-n-way 5"
        if not (self.min_k_shot or 1) <= self.k_shot:
            yield (
                f"min_k_shot is {self.min_k_shot} and k_shot {self.k_shot}; expected at most k_shot"
            )
        if self.adapting == "context" and not self.context:
            yield "adapting is context and context is 0; give its size, as in --context 32"
        if self.context and not self.network.modulated:
            suited = [n for n, of in NETWORKS.items() if of.modulated and of.examples == examples]
            yield (
                f"context is {self.context} with model {self.model}, of which no layer is known "
                f"that it could modulate; choose model {' or '.join(suited)}"
            )
        per_step = self.per_step_affine or self.per_step_statistics
        if per_step and "norm" not in self.network.settings:
            yield (
                f"model {self.model} has no batch norm; leave per_step_affine and "
                "per_step_statistics out"
            )
        elif per_step and not has_batch_norm(self):
            yield (
                f"model_norm is {self.model_norm}, and per_step_affine and per_step_statistics "
                "are of batch norm; choose --model-norm batch, or --no-per-step-affine and "
                "--no-per-step-statistics"
            )
        if self.learns_per_step and self.test_inner_steps > self.inner_steps:
            yield (
                f"test_inner_steps is {self.test_inner_steps}, and step sizes or batch norm are "
                f"learned for each of {self.inner_steps} inner steps; choose --test-inner-steps "
                f"{self.inner_steps}, --inner-steps {self.test_inner_steps}, or nothing per step"
            )
        if self.execution == "captured" and not self.device.startswith("cuda"):
            yield (
                f"execution is captured, and device is {self.device}; a CUDA graph is recorded on "
                "a GPU alone: choose --device cuda or --execution auto"
            )
        if not 0 <= (self.final_outer_lr or 0) <= self.outer_lr:
            yield (
                f"final_outer_lr is {self.final_outer_lr}; expected at least 0 and at most "
                f"outer_lr ({self.outer_lr})"
            )

    @property
    def data_set(self) -> DataSet:
        """The entry of the data set."""
        return DATA_SETS[self.data]

    @property
    def kind(self) -> Kind:
        """The kind of prediction. Of a table it is a number where there is but one class."""
        if self.table is None:
            return self.data_set.kind
        return "regression" if self.n_way == 1 else "classification"

    @property
    def score(self) -> str:
        """Name of the metric that decides which initialisation is kept."""
        of_classes = self.table is not None and self.kind == "classification"
        return "accuracy" if of_classes else self.data_set.score

    @property
    def data_name(self) -> str:
        """The data set for people: the name of a folder of pictures, or of a table."""
        if self.table:
            return Path(self.table).name.partition(".")[0] or "table"
        return Path(self.folder).name if self.folder else self.data

    @property
    def network(self) -> NetworkEntry:
        """The entry of the network."""
        return NETWORKS[network_key(self.model)]

    @property
    def learns_per_step(self) -> bool:
        """Whether something is learned for each inner step, so that no more can be taken."""
        per_step_norm = self.per_step_affine or self.per_step_statistics
        learned = per_step_norm or self.step_sizes == "per-step"
        return learned and "step_sizes" in ALGORITHMS[self.algorithm].settings

    def ways(self, split: str) -> int:
        """Classes of a task."""
        return self.n_way if split == "train" else self.test_n_way or self.n_way

    def shots(self, split: str) -> tuple[int, int]:
        """Support and query examples of each class (of the task, in a regression)."""
        if split == "train":
            return self.k_shot, self.q_query
        return self.test_k_shot or self.k_shot, self.test_q_query or self.q_query


def with_sizes(config: Config, sizes: Mapping[str, int | None]) -> Config:
    """The config with tasks of another size or seed; of None they are those of the run."""
    given: dict[str, Any] = {name: value for name, value in sizes.items() if value is not None}
    if "n_way" in given and (config.kind == "regression" or config.table):
        has = "the same classes in every task" if config.n_way > 1 else "no classes"
        raise InputError(f"n_way is given, and data {config.data} has {has}; leave it out")
    for name in given.keys() & {"n_way", "k_shot", "q_query"}:
        given[f"test_{name}"] = given[name]
    return replace(config, **given)


def with_random_weights(config: Config) -> Config:
    """The config of the same network before any training, which adapts as by MAML.

    Each class has a row of the last layer of its own, unless all share one.
    """
    if config.head_rows == "shared":
        return replace(config, algorithm="maml")
    return replace(config, algorithm="maml", n_way=config.ways("test"), test_n_way=None)


def has_batch_norm(config: Config) -> bool:
    """Whether a prediction may depend on the batch that it is made in."""
    return "norm" in config.network.settings and config.model_norm == "batch"


def batch_norm(config: Config, *norms: str) -> str:
    """The statistics that batch norm uses on the query set, in words."""
    return f"{' and '.join(norms)} batch norm" if has_batch_norm(config) else "no batch norm"
