"""Config: what a run is. The same dataclass is the flags and the saved ``config.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import tyro

from fewstep.config.ranges import check_ranges
from fewstep.config.registry import DATA_SETS, NETWORKS, DataSet, DataSetName, NetworkName
from fewstep.errors import InputError


@dataclass(frozen=True)
class Config:
    """Everything that decides the result of a run.

    Attributes:
        recipe: Name of the recipe that this started from.
        data: Where tasks come from.
        algorithm: How the initialisation is learned. Those around maml are maml with other
            settings, which can be changed one by one; finetune: ordinary training on all training
            classes, then a new last layer for the tasks.
        model: The network. conv4: four convolution blocks; mlp: two hidden layers of 40.
        context: Numbers of the context vector that modulates the network (cavia); 0 for none.
        filters: Filters of each convolution of conv4.
        downsample: How each block of conv4 halves the picture.
        model_norm: Normalisation in each block of conv4.
        n_way: Classes of a task.
        k_shot: Support examples of each class (of the task, in a regression).
        q_query: Query examples of each class (of the task, in a regression).
        test_k_shot: Support examples in validation and test, where they differ from k_shot.
        test_q_query: Query examples in validation and test, where they differ from q_query.
        rotations: Training classes turned by 90, 180 and 270 degrees count as classes of their own.
        inner_lr: Step size of the inner loop.
        inner_steps: Inner steps in training.
        test_inner_steps: Most inner steps in validation and test.
        inner_optimizer: What makes an inner step of a gradient; without memory of other tasks.
        adapting: Which parameters adapt: all, the head (the last linear layer), the body without
            it, or the context alone.
        step_sizes: inner_lr for all (fixed), or learned from there: one for each parameter tensor
            and inner step (per-step) or for each single number (per-element).
        order: exact, or first without the inner gradient's own derivative.
        first_order: Share of the outer steps, from the first, that are of first order.
        multi_step_loss: Share of the outer steps over which the query losses before the last inner
            step count too, less and less; 0 for never.
        per_step_affine: A scale and a shift of batch norm for each inner step, which do not adapt.
        per_step_statistics: Record what batch norm sees of training tasks after each inner step;
            with norm inductive, that is what query sets are normalised by.
        proximal: lambda of imaml: how strongly adapted parameters are held near the initialisation.
        cg_steps: Conjugate gradient steps of imaml for each meta-gradient.
        new_head: The last layer that finetune starts each task with: as a new layer is made
            (random), or zeros.
        norm: What batch norm uses on the query set: the query batch's own statistics
            (transductive) or the support set's (inductive).
        memory: fast keeps the graph of every inner step, flat that of one.
        execution: loop computes the tasks of an outer step one by one, vectorised all at once,
            chunked as many at once as suit the memory, auto decides by the size of a task.
        compile: Compute by compiled functions; takes up to a minute, once.
        precision: tf32 and bf16 are faster on some devices and less exact (docs/speed.md).
        workers: Processes of one thread that share the tasks of an outer step, on the CPU, at
            most eight a core; 0 for one a core where tasks are large enough.
        meta_batch: Tasks of an outer step.
        outer_lr: Step size of the outer optimiser, Adam.
        final_outer_lr: Where outer_lr falls to by the last outer step, along half a cosine; None
            for a constant one.
        averaging: The initialisation that is judged and kept is the exponential moving average
            of the learned one with this decay; 0 for none.
        steps: Outer steps.
        val_every: Outer steps between validations.
        val_tasks: Tasks of a validation.
        patience: The run stops early after so many validations without improvement; 0 for never.
        test_tasks: Tasks of the final test.
        checkpoint_every: Outer steps between checkpoints.
        seed: Of the initial weights and of every task.
        device: Where to compute: cpu, cuda, cuda:1, ...
    """

    recipe: tyro.conf.Suppress[str]
    data: DataSetName
    algorithm: Literal[
        "maml",
        "fomaml",
        "anil",
        "boil",
        "meta-sgd",
        "maml++",
        "cavia",
        "reptile",
        "imaml",
        "protomaml",
        "protonet",
        "finetune",
    ] = "maml"
    model: NetworkName = "conv4"
    context: int = 0
    filters: int = 64
    downsample: Literal["stride", "max-pool"] = "stride"
    model_norm: Literal["batch", "group", "none"] = "batch"
    n_way: int = 5
    k_shot: int = 1
    q_query: int = 5
    test_k_shot: int | None = None
    test_q_query: int | None = None
    rotations: bool = False
    inner_lr: float = 0.4
    inner_steps: int = 1
    test_inner_steps: int = 5
    inner_optimizer: Literal["sgd", "momentum", "adam"] = "sgd"
    adapting: Literal["all", "head", "body", "context"] = "all"
    step_sizes: Literal["fixed", "per-step", "per-element"] = "fixed"
    order: Literal["exact", "first"] = "exact"
    first_order: float = 0.0
    multi_step_loss: float = 0.0
    per_step_affine: bool = False
    per_step_statistics: bool = False
    proximal: float = 0.5
    cg_steps: int = 5
    new_head: Literal["random", "zeros"] = "random"
    norm: Literal["transductive", "inductive"] = "transductive"
    memory: Literal["fast", "flat"] = "fast"
    execution: Literal["auto", "loop", "vectorised", "chunked"] = "auto"
    compile: bool = False
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    workers: int = 0
    meta_batch: int = 32
    outer_lr: float = 1e-3
    final_outer_lr: float | None = None
    averaging: float = 0.0
    steps: int = 60_000
    val_every: int = 200
    val_tasks: int = 200
    patience: int = 0
    test_tasks: int = 600
    checkpoint_every: int = 50
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_ranges(vars(self))
        self._check_data()
        self._check_inner_loop()
        if self.final_outer_lr is not None and not 0 <= self.final_outer_lr <= self.outer_lr:
            raise InputError(
                f"final_outer_lr is {self.final_outer_lr}; expected at least 0 and at most "
                f"outer_lr ({self.outer_lr})"
            )

    def _check_data(self) -> None:
        """See that model, algorithm and ways suit the data."""
        examples = self.data_set.examples
        if NETWORKS[self.model].examples != examples:
            suited = [name for name, network in NETWORKS.items() if network.examples == examples]
            raise InputError(
                f"data {self.data} with model {self.model}; {examples} need model "
                f"{' or '.join(suited)}"
            )
        if self.data_set.kind == "regression" and self.algorithm in _OF_CLASSES:
            raise InputError(
                f"data {self.data} with model {self.model} and algorithm {self.algorithm}; "
                f"expected an algorithm other than {', '.join(_OF_CLASSES)}, which need classes"
            )
        if self.data_set.kind == "classification" and self.n_way < 2:
            raise InputError(f"n_way is {self.n_way}; expected 2 or more, as in --n-way 5")

    def _check_inner_loop(self) -> None:
        """See that the settings of the inner loop go together."""
        if self.adapting == "context" and not self.context:
            raise InputError(
                "adapting is context and context is 0; give its size, as in --context 32"
            )
        per_step = self.per_step_affine or self.per_step_statistics
        if per_step and "norm" not in NETWORKS[self.model].settings:
            raise InputError(
                f"model {self.model} has no batch norm; leave per_step_affine and "
                "per_step_statistics out"
            )
        of_maml = self.algorithm in OF_MAML
        if of_maml and self.learns_per_step and self.test_inner_steps > self.inner_steps:
            raise InputError(
                f"test_inner_steps is {self.test_inner_steps}, and step sizes or batch norm are "
                f"learned for each of {self.inner_steps} inner steps; choose --test-inner-steps "
                f"{self.inner_steps}, --inner-steps {self.test_inner_steps}, or nothing per step"
            )

    @property
    def data_set(self) -> DataSet:
        """The entry of the data set."""
        return DATA_SETS[self.data]

    @property
    def learns_per_step(self) -> bool:
        """Whether something is learned for each inner step, so that no more can be taken."""
        per_step_norm = self.per_step_affine or self.per_step_statistics
        return per_step_norm or self.step_sizes == "per-step"

    def shots(self, split: str) -> tuple[int, int]:
        """Support and query examples of each class (of the task, in a regression)."""
        if split == "train":
            return self.k_shot, self.q_query
        return self.test_k_shot or self.k_shot, self.test_q_query or self.q_query


OF_MAML = ("maml", "fomaml", "anil", "boil", "meta-sgd", "maml++", "cavia")
"""The algorithms that are MAML with other settings."""
_OF_CLASSES = ("protomaml", "protonet", "finetune")


def score_name(config: Config) -> str:
    """Name of the metric that decides which initialisation is kept."""
    return config.data_set.score


def has_batch_norm(config: Config) -> bool:
    """Whether a prediction may depend on the batch that it is made in."""
    return "norm" in NETWORKS[config.model].settings and config.model_norm == "batch"


def batch_norm(config: Config, *norms: str) -> str:
    """Which statistics batch norm uses on the query set, in words."""
    return f"{' and '.join(norms)} batch norm" if has_batch_norm(config) else "no batch norm"
