"""Data sets and networks by name, as far as a config has to know them before PyTorch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Kind = Literal["classification", "regression"]
Examples = Literal["pictures", "rows"]


@dataclass(frozen=True)
class DataSet:
    """The entry of a data set; a new one is one file in ``fewstep.data`` and one entry here.

    Attributes:
        load: ``"module:function"``; the function makes the `TaskSource` of each split from a
            config and the folder of the data, and is imported when it is needed.
        kind: Whether targets are classes or numbers.
        examples: ``"pictures"`` or ``"rows"`` of numbers, which decides what networks suit it.
        score: Name of the metric that decides which initialisation is kept.
    """

    load: str
    kind: Kind = "classification"
    examples: Examples = "pictures"
    score: str = "accuracy"


@dataclass(frozen=True)
class Network:
    """The entry of a network; a new one is one file in ``fewstep.models`` and one entry here.

    Attributes:
        build: ``"module:function"``; see `fewstep.models.build.network`.
        examples: What it takes.
        settings: Those of a config that have an effect on it, and on no other network.
    """

    build: str
    examples: Examples
    settings: tuple[str, ...] = ()


DATA_SETS = {
    "glyphs": DataSet("fewstep.data.glyphs:sources"),
    "omniglot": DataSet("fewstep.data.omniglot:sources"),
    "sinusoid": DataSet("fewstep.data.sinusoid:sources", "regression", "rows", "mse"),
}
NETWORKS = {
    "conv4": Network(
        "fewstep.models.conv4:from_config",
        "pictures",
        ("filters", "downsample", "model_norm", "norm"),
    ),
    "mlp": Network("fewstep.models.mlp:from_config", "rows"),
}

if TYPE_CHECKING:
    DataSetName = str
    NetworkName = str
else:
    DataSetName = Literal[tuple(DATA_SETS)]
    NetworkName = Literal[tuple(NETWORKS)]
