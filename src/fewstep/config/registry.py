"""Data sets and networks by name, as far as a config has to know them before PyTorch is loaded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Kind = Literal["classification", "regression"]
Examples = Literal["pictures", "rows", "series"]


OF_PICTURES = ("n_way", "test_n_way", "rotations", "flip", "crop", "colour")
OF_TABLES = ("task", "target", "inputs", "time", "window", "min_k_shot")


@dataclass(frozen=True)
class DataSet:
    """The entry of a data set; a new one is one file in ``fewstep.data`` and one entry here."""

    load: str  # ``"module:function"``, of config and data folder, to the `TaskSource` of each split
    kind: Kind = "classification"
    examples: Examples = "pictures"  # decides what networks suit it
    score: str = "accuracy"  # name of the metric that decides which initialisation is kept
    settings: tuple[str, ...] = OF_PICTURES  # with an effect for some data sets alone
    has_folder: bool = False  # it is read from the folder of the data, which a run then remembers
    keeps_split: bool = False  # a run keeps its split by class, which is given to ``load`` as well


@dataclass(frozen=True)
class Network:
    """The entry of a network; a new one is one file in ``fewstep.models`` and one entry here."""

    build: str  # ``"module:function"``, of config, shape of one example and number of outputs
    examples: Examples
    modulated: str  # name of its layer that a context vector modulates; "" for none
    settings: tuple[str, ...] = ()  # with an effect for some networks alone


DATA_SETS = {
    "glyphs": DataSet("fewstep.data.glyphs:sources"),
    "omniglot": DataSet("fewstep.data.omniglot:sources", has_folder=True),
    **{
        name: DataSet("fewstep.data.standard:sources", has_folder=True)
        for name in ("mini-imagenet", "cifar-fs", "fc100", "cub")
    },
    "folder": DataSet(
        "fewstep.data.folder_tasks:sources",
        settings=(*OF_PICTURES, "image_size"),
        keeps_split=True,
    ),
    # A classification where its target is one: see `Config.kind`.
    "table": DataSet(
        "fewstep.data.tables.source:sources",
        "regression",
        "rows",
        "rmse",
        settings=OF_TABLES,
        keeps_split=True,
    ),
    "sinusoid": DataSet("fewstep.data.sinusoid:sources", "regression", "rows", "mse", ()),
}
_CONV = ("filters", "downsample", "model_norm", "norm")
_BACKBONE = Network("fewstep.models.backbones:from_config", "pictures", "", ("pretrained", "norm"))
NETWORKS = {
    "conv4": Network("fewstep.models.conv4:from_config", "pictures", "2", _CONV),
    "resnet12": Network("fewstep.models.resnet12:from_config", "pictures", "2", ("norm",)),
    "mlp": Network("fewstep.models.mlp:from_config", "rows", "0", ("layers", "width")),
    **{
        name: Network(f"fewstep.models.series:{name}_of", "series", modulated, ("layers", "width"))
        for name, modulated in (("conv1d", "1"), ("lstm", ""), ("gru", ""))
    },
    # Any name of these packages stands in the place of NAME.
    "timm/NAME": _BACKBONE,
    "torchvision/NAME": _BACKBONE,
}


def network_key(model: str) -> str:
    """The key in `NETWORKS` of a config's model, with NAME for the name in a package."""
    package, slash, _ = model.partition("/")
    return f"{package}/NAME" if slash else model


if TYPE_CHECKING:
    DataSetName = str
else:
    DataSetName = Literal[tuple(DATA_SETS)]
