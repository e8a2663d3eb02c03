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
        load: ``"module:function"``, imported when it is needed: makes the `TaskSource` of each
            split from a config and the folder of the data.
        kind: Whether targets are classes or numbers.
        examples: ``"pictures"`` or ``"rows"`` of numbers, which decides what networks suit it.
        score: Name of the metric that decides which initialisation is kept.
        settings: Those of a config that have an effect with some data sets alone, this among them.
        has_folder: Whether it is read from the folder of the data, which a run then remembers.
    """

    load: str
    kind: Kind = "classification"
    examples: Examples = "pictures"
    score: str = "accuracy"
    settings: tuple[str, ...] = ("n_way", "rotations")
    has_folder: bool = False


@dataclass(frozen=True)
class Network:
    """The entry of a network; a new one is one file in ``fewstep.models`` and one entry here.

    Attributes:
        build: ``"module:function"``: makes the network from a config, the shape of one example
            and the number of outputs.
        examples: What it takes.
        modulated: Name of its layer that a context vector modulates.
        settings: Those of a config that have an effect with some networks alone, this among them.
    """

    build: str
    examples: Examples
    modulated: str
    settings: tuple[str, ...] = ()


DATA_SETS = {
    "glyphs": DataSet("fewstep.data.glyphs:sources"),
    "omniglot": DataSet("fewstep.data.omniglot:sources", has_folder=True),
    "sinusoid": DataSet("fewstep.data.sinusoid:sources", "regression", "rows", "mse", ()),
}
_CONV = ("filters", "downsample", "model_norm", "norm")
NETWORKS = {
    "conv4": Network("fewstep.models.conv4:from_config", "pictures", "2", _CONV),
    "mlp": Network("fewstep.models.mlp:from_config", "rows", "0"),
}

if TYPE_CHECKING:
    DataSetName = str
    NetworkName = str
else:
    DataSetName = Literal[tuple(DATA_SETS)]
    NetworkName = Literal[tuple(NETWORKS)]
