"""Named configurations, one for each published result."""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from fewstep.config.algorithms import ALGORITHMS, BATCH_NORM
from fewstep.config.registry import NETWORKS
from fewstep.config.schema import Config
from fewstep.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """A configuration, where its tasks come from, and the result measured with it."""

    config: Config
    protocol: str
    expected: str


DEFAULT = "glyphs-5way-1shot"

_GLYPHS = Config(
    recipe=DEFAULT,
    data="glyphs",
    filters=32,
    meta_batch=8,
    outer_lr=3e-3,
    ema_decay=0.98,
    steps=700,
    val_every=100,
    val_tasks=100,
)
_OMNIGLOT = Config(
    recipe="omniglot",
    data="omniglot",
    rotations=True,
    meta_batch=8,
    outer_lr=2e-3,
    ema_decay=0.999,
    steps=21_000,
    val_every=500,
    test_inner_steps=3,
)
_SINUSOID = Config(
    recipe="sinusoid",
    data="sinusoid",
    model="mlp",
    n_way=1,
    k_shot=10,
    q_query=10,
    test_k_shot=5,
    test_q_query=100,
    inner_lr=0.01,
    test_inner_steps=10,
    meta_batch=25,
    steps=70_000,
    val_every=1000,
)


_PHOTOGRAPHS = Config(
    recipe="photographs",
    data="mini-imagenet",
    q_query=15,
    filters=32,
    downsample="max-pool",
    inner_lr=0.01,
    inner_steps=5,
    test_inner_steps=10,
    steps=60_000,
    val_every=1000,
)


def _photographs(data: str, k_shot: int, protocol: str, published: str) -> Recipe:
    """The MAML paper's protocol for mini-ImageNet."""
    config = replace(
        _PHOTOGRAPHS,
        recipe=f"{data}-5way-{k_shot}shot",
        data=data,
        k_shot=k_shot,
        meta_batch=4 if k_shot == 1 else 2,
    )
    return Recipe(config, protocol, f"not measured ({published})")


_MINI = "mini-ImageNet, from a local folder: 64 / 16 / 20 classes of Ravi and Larochelle"
_CIFAR = "CIFAR-FS, from a local folder"


def _omniglot(n_way: int, k_shot: int, expected: str) -> Recipe:
    config = replace(
        _OMNIGLOT, recipe=f"omniglot-{n_way}way-{k_shot}shot", n_way=n_way, k_shot=k_shot
    )
    if n_way == 20:
        # The paper takes five smaller inner steps where there are more classes to fit.
        config = replace(config, inner_steps=5, inner_lr=0.1, test_inner_steps=5)
    return Recipe(config, "Omniglot: handwritten characters never seen", expected)


_ALL = (
    Recipe(
        _GLYPHS,
        "glyphs: letters of scripts never seen, rendered here",
        "92.7 ± 0.6 % after 1 step",
    ),
    _omniglot(5, 1, "98.3 ± 0.3 % (paper: 98.7 ± 0.4 %)"),
    _omniglot(5, 5, "not measured (paper: 99.9 %)"),
    _omniglot(20, 1, "not measured (paper: 95.8 %)"),
    _omniglot(20, 5, "not measured (paper: 98.9 %)"),
    _photographs("mini-imagenet", 1, _MINI, "paper: 48.70 ± 1.84 %"),
    _photographs("mini-imagenet", 5, _MINI, "paper: 63.11 ± 0.92 %"),
    _photographs("cifar-fs", 1, _CIFAR, "Bertinetto et al. 2019: 58.9 ± 1.9 %"),
    _photographs("cifar-fs", 5, _CIFAR, "Bertinetto et al. 2019: 71.5 ± 1.0 %"),
    Recipe(
        _SINUSOID,
        "the MAML paper's sinusoids, trained with 10 shots",
        "MSE after 1 / 5 / 10 steps: 0.62 / 0.36 / 0.33 (paper: 0.67 / 0.38 / 0.35)",
    ),
)
RECIPES = {recipe.config.recipe: recipe for recipe in _ALL}


def folder_config(folder: str, image_size: int = 84, n_way: int = 5, q_query: int = 5) -> Config:
    """The defaults for a folder of pictures of one's own: some 10 to 100 classes of some 20.

    Chosen on validation classes, so that a first useful result takes minutes on two cores.
    """
    large = image_size >= 48
    return Config(
        recipe="folder",
        data="folder",
        folder=folder,
        image_size=image_size,
        n_way=n_way,
        q_query=q_query,
        filters=32,
        downsample="max-pool" if large else "stride",
        # Any number of classes, and the best with few outer steps (docs/classes.md).
        algorithm="protomaml",
        inner_lr=0.1,
        norm="inductive",
        meta_batch=4 if large else 8,
        outer_lr=2e-3 if large else 3e-3,
        ema_decay=0.98,
        steps=600 if large else 1500,
        val_every=100,
        val_tasks=40,
        test_tasks=100,
        test_inner_steps=3,
    )


def table_config(table: str, n_way: int = 1, k_shot: int = 10, **given: Any) -> Config:
    """The defaults for a table of one's own: some 20 to 1,000 tasks of 5 rows or more.

    Args:
        table: Its path.
        n_way: Classes of the target; 1 where it is a number.
        k_shot: Support rows of a task.
        given: Other settings, which come before the defaults.
    """
    usual: dict[str, Any] = {
        # Chosen on validation tasks of six tables (docs/tables.md).
        "algorithm": "r2d2" if n_way == 1 else "maml",
        "q_query": 20,
        "model": "gru" if given.get("window") else "mlp",
        "width": 64,
        "outer_lr": 1e-2 if n_way == 1 else 3e-3,
        "final_outer_lr": 1e-4,
        "penalty": 1.0,
        "inner_lr": 0.1,
        "inner_steps": 5,
        "meta_batch": 16,
        "ema_decay": 0.98,
        "steps": 1000,
        "val_every": 100,
        "val_tasks": 100,
        "test_tasks": 400,
    }
    whole = {"recipe": "table", "data": "table", "table": table, "n_way": n_way, "k_shot": k_shot}
    return Config(**{**whole, **usual, **given})


def find_recipe(name: str) -> Recipe:
    """The recipe of this name, or an `InputError` that names a close one."""
    if name in RECIPES:
        return RECIPES[name]
    close = difflib.get_close_matches(name, RECIPES, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(RECIPES)}"
    raise InputError(f"unknown recipe {name!r}; {hint} (fewstep recipes lists them)")


def with_algorithm(config: Config, algorithm: str) -> Config:
    """The config with the defaults of another algorithm."""
    row = ALGORITHMS[algorithm]
    settings = dict(row.defaults)
    if config.kind == "regression":
        settings |= row.in_regression
    if settings.get("adapting", "all") not in ("all", "head"):
        # A head that does not adapt cannot make rows for classes that are new.
        settings["head_rows"] = "separate"
    has = config.network.settings
    lacks = {name for network in NETWORKS.values() for name in network.settings} - {*has}
    lacks |= set() if "norm" in has else BATCH_NORM
    settings = {name: value for name, value in settings.items() if name not in lacks}
    return replace(config, algorithm=algorithm, **settings)
