"""The settings of a run by group: where tasks come from, the model, adaptation, training, ...

A new setting is one field here: its type with the rules beside it (`fewstep.config.limits`), its
default, and its description below it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Suppress, arg

from fewstep import choices
from fewstep.config import limits
from fewstep.config.algorithms import AlgorithmName
from fewstep.config.limits import FREE, Limit, Only
from fewstep.config.registry import NETWORKS, DataSetName

_BUDGET = arg(metavar="{fast,paper}", help_behavior_hint="(default: fast, where there are two)")


@dataclass(frozen=True)
class Task:
    """Where tasks come from, and how large they are."""

    recipe: Suppress[str]
    """Name of the recipe that this started from."""
    data: DataSetName
    """Where tasks come from."""
    budget: Annotated[Literal[choices.Budget, None], FREE, _BUDGET] = None
    """Schedule of a recipe: fast is a short one, paper the paper's own."""
    n_way: limits.Count = 5
    """Classes of a task."""
    k_shot: Annotated[limits.Count, Limit(10_000)] = 1
    """Support examples of each class; of a table, or in a regression, of the task."""
    q_query: Annotated[limits.Count, Limit(10_000)] = 5
    """Query examples of each class (of the task, in a regression or a table, and at most)."""
    rotations: bool = False
    """Training classes turned by 90, 180 and 270 degrees count as classes of their own."""
    folder: Annotated[Suppress[str | None], FREE] = None
    """The folder of pictures, of data folder."""
    image_size: Annotated[limits.Count, Limit(1024)] = 84
    """Height and width in pixels to which the pictures of a folder are brought."""
    flip: bool = False
    """Mirror half of the training pictures."""
    crop: Annotated[limits.Number, Limit(1024)] = 0
    """Pad training pictures with so many pixels, and cut their size out anywhere."""
    colour: limits.Strength = 0.0
    """Change brightness, contrast and saturation of training pictures by up to this share."""
    table: Annotated[Suppress[str | None], FREE] = None
    """The table, a file or a folder of files, of data table."""
    task: Annotated[str | None, arg(metavar="COLUMN")] = None
    """The column of a table that tells the task of a row; of a folder, each file is a task."""
    target: Annotated[str | None, arg(metavar="COLUMN")] = None
    """The column of a table to predict."""
    inputs: Annotated[str | None, arg(metavar="COLUMN,...")] = None
    """The columns of a table to predict it from; all others unless given."""
    time: Annotated[str | None, arg(metavar="COLUMN")] = None
    """The column of a table that tells the order of a task's rows: it adapts to some, and predicts
    later ones."""
    window: Annotated[limits.OptionalCount, Limit(10_000)] = None
    """Rows that make one example, the last of which is predicted; of a series, with time."""
    min_k_shot: Annotated[limits.OptionalCount, Limit(10_000)] = None
    """Training tasks of a table have so many to k_shot support rows; always k_shot unless given."""


@dataclass(frozen=True)
class Network:
    """The model that is learned."""

    model: Annotated[str, arg(metavar=f"{{{','.join(NETWORKS)}}}")] = "conv4"
    """conv4, resnet12 and backbones of timm and torchvision: for pictures; mlp: for rows; conv1d,
    lstm and gru: for series. As in timm/resnet18, with the extra fewstep[backbones]."""
    layers: Annotated[limits.Number, Limit(100)] = 2
    """Hidden layers of mlp (0: a linear model), and layers of conv1d, lstm and gru."""
    width: Annotated[limits.Count, Limit(65_536)] = 40
    """Numbers of each of those layers."""
    pretrained: bool = False
    """Begin with the weights that timm or torchvision downloads; the last layer is new."""
    filters: Annotated[limits.Count, Limit(4096)] = 64
    """Filters of each convolution of conv4."""
    model_norm: choices.ModelNorm = "batch"
    """Normalisation in each block of conv4."""
    downsample: choices.Downsample = "stride"
    """How each block of conv4 halves the picture."""
    context: Annotated[limits.Number, Limit(65_536)] = 0
    """Numbers of the context vector that modulates the network (cavia); 0: none."""


@dataclass(frozen=True)
class Adaptation:
    """The algorithm and its inner loop.

    maml to cavia are one inner loop with other settings, which can be changed one by one. finetune
    is ordinary training on all training classes, then a new last layer for each task; in a
    regression on the examples of all tasks, and the last layer is kept.
    """

    algorithm: AlgorithmName = "maml"
    """How the initialisation is learned."""
    inner_lr: limits.Rate = 0.4
    """Step size of the inner loop."""
    inner_steps: Annotated[limits.Count, Limit(10_000)] = 1
    """Inner steps in training."""
    order: choices.Order = "exact"
    """Derivative of the inner loop: exact, or first-order in all outer steps, which drops it."""
    adapting: choices.Adapting = "all"
    """Which parameters adapt; the head is the last linear layer, the body all before it."""
    step_sizes: choices.StepSizes = "fixed"
    """inner_lr for all, or learned from there: for each tensor and step, or each number."""
    norm: Annotated[choices.Norm, Only("model_norm", ("batch",))] = "transductive"
    """Batch norm on the query set: by its own statistics, or the support set's (inductive)."""


@dataclass(frozen=True)
class OuterLoop:
    """How the initialisation is trained, over many tasks."""

    steps: Annotated[limits.Count, Limit(10_000_000), FREE] = 60_000
    """Outer steps."""
    meta_batch: Annotated[limits.Count, Limit(10_000)] = 32
    """Tasks of an outer step."""
    optimizer: choices.OptimizerName = "adam"
    """Outer optimiser; muon moves convolutions and hidden layers in all directions alike, and the
    rest by adam."""
    outer_lr: limits.Rate = 1e-3
    """Step size of the outer optimiser."""
    final_outer_lr: Annotated[float | None, arg(metavar="FLOAT")] = None
    """Where outer_lr falls to by the last outer step, along half a cosine; None: constant."""
    ema_decay: limits.Decay = 0.0
    """Decay of the moving average of the initialisation, which is kept; 0: none."""
    patience: Annotated[limits.Number, FREE] = 0
    """Stop after so many validations without improvement; 0: never."""
    seed: limits.Seed = 0
    """Seed of the initial weights and of every task."""


@dataclass(frozen=True)
class Evaluation:
    """Validation while training, and the final test."""

    test_inner_steps: Annotated[limits.Count, Limit(10_000)] = 5
    """Most inner steps in validation and test."""
    test_tasks: Annotated[limits.Count, FREE] = 600
    """Tasks of the final test."""
    val_every: limits.Count = 200
    """Outer steps between validations."""
    val_tasks: limits.Count = 200
    """Tasks of a validation."""
    test_n_way: limits.OptionalCount = None
    """Classes of a task in validation and test, with one row of the last layer for all (head_rows);
    n_way unless given."""
    test_k_shot: Annotated[limits.OptionalCount, Limit(10_000)] = None
    """Support examples in validation and test; k_shot unless given."""
    test_q_query: Annotated[limits.OptionalCount, Limit(10_000)] = None
    """Query examples in validation and test; q_query unless given."""


@dataclass(frozen=True)
class Machine:
    """Where it is computed and kept; changes no result beyond rounding, but for precision."""

    device: Annotated[str, FREE] = "cpu"
    """Where to compute: cpu, cuda, cuda:1, ..."""
    data_dir: Annotated[str | None, FREE, arg(metavar="PATH")] = None
    """The folder that holds omniglot/, mini-imagenet/ ...; FEWSTEP_DATA's unless given."""
    workers: Annotated[limits.Number, Limit(1024), FREE] = 0
    """Processes that share an outer step's tasks on the CPU; 0: one a core, for large tasks."""
    precision: choices.Precision = "float32"
    """tf32 and bf16 are faster on some devices and less exact (docs/speed.md)."""
    checkpoint_every: Annotated[limits.Count, FREE] = 50
    """Outer steps between checkpoints; on a GPU ten seconds pass at least."""


@dataclass(frozen=True)
class Specialist:
    """Parts of single algorithms, and how tasks are computed."""

    first_order_share: Annotated[limits.Share, Only("order", ("exact",))] = 0.0
    """Share of the outer steps, from the first, of first order before exact ones (maml++)."""
    multi_step_loss: Annotated[limits.Share, Only("inner_steps", range(2, 10_001))] = 0.0
    """Share of the outer steps, from the first, in which earlier inner steps count (maml++)."""
    per_step_affine: bool = False
    """Learn a scale and a shift of batch norm for each inner step (maml++)."""
    per_step_statistics: bool = False
    """Record batch norm's statistics after each inner step, for norm inductive (maml++)."""
    head_rows: Annotated[choices.HeadRows, Only("adapting", ("all", "head"))] = "separate"
    """A row of the last layer for each class, or one for all, so for any number of classes."""
    inner_optimizer: choices.InnerOptimizerName = "sgd"
    """Makes an inner step of a gradient."""
    proximal: limits.Rate = 0.5
    """lambda of imaml: how strongly adapted parameters are held near the initialisation."""
    penalty: limits.Rate = 10.0
    """lambda of r2d2 at first: how strongly the last layer is held near the learned one."""
    cg_steps: limits.Number = 5
    """Conjugate gradient steps of imaml for each meta-gradient."""
    new_head: choices.NewHead = "random"
    """The last layer that finetune starts each task with: as a new layer is made, or zeros."""
    memory: Annotated[choices.Memory, Only("order", ("exact",)), FREE] = "fast"
    """Keep the graph of every inner step, or of one at a time (flat)."""
    execution: Annotated[choices.Execution, FREE] = "auto"
    """Tasks one by one, all at once, or as many as suit memory; auto: also recorded, on cuda."""
    compile: Annotated[bool, FREE] = False
    """Compute by compiled functions; compiling takes up to a minute, once."""
