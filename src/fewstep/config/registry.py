"""Data sets and networks by name, as far as a config has to know them before PyTorch is loaded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Kind = Literal["classification", "regression"]
Examples = Literal["pictures", "rows"]


@dataclass(frozen=True)
class DataSet:
    """The entry of a data set; a new one is one file in ``fewstep.data`` and one entry here."""

    load: str
    """``"module:function"``: the `TaskSource` of each split, of a config and the data's folder."""
    kind: Kind = "classification"
    examples: Examples = "pictures"
    """Decides what networks suit it."""
    score: str = "accuracy"
    """Name of the metric that decides which initialisation is kept."""
    settings: tuple[str, ...] = ("n_way", "rotations")
    """Those of a config that have an effect with some data sets alone, this among them."""
    has_folder: bool = False
    """Whether it is read from the folder of the data, which a run then remembers."""


@dataclass(frozen=True)
class Network:
    """The entry of a network; a new one is one file in ``fewstep.models`` and one entry here."""

    build: str
    """``"module:function"``, of a config, the shape of one example and the number of outputs."""
    examples: Examples
    modulated: str
    """Name of its layer that a context vector modulates."""
    settings: tuple[str, ...] = ()
    """Those of a config that have an effect with some networks alone, this among them."""


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
