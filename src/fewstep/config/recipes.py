"""Named configurations, one for each published result."""

import difflib
from dataclasses import dataclass, replace
from typing import Any

from fewstep.choices import Budget
from fewstep.config import budgets
from fewstep.config.algorithms import ALGORITHMS, BATCH_NORM
from fewstep.config.registry import NETWORKS
from fewstep.config.schema import Config
from fewstep.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """A configuration, where its tasks come from, and the result measured with it.

    Of a recipe with budgets the config is that of MAML with the usual one, and results are those of
    the table (`fewstep.published`).
    """

    config: Config
    protocol: str
    expected: str = ""


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
# The schedules of these stand in `fewstep.config.budgets`.
_OMNIGLOT = Config(
    recipe="omniglot",
    data="omniglot",
    rotations=True,
    test_inner_steps=3,
    val_tasks=600,
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


def _photographs(data: str, k_shot: int) -> Config:
    """The MAML paper's protocol for mini-ImageNet."""
    return replace(
        _PHOTOGRAPHS,
        recipe=f"{data}-5way-{k_shot}shot",
        data=data,
        k_shot=k_shot,
        meta_batch=4 if k_shot == 1 else 2,
    )


def _omniglot(n_way: int, k_shot: int) -> Config:
    """The MAML paper's protocol for Omniglot, and its test: K query pictures of each class."""
    recipe = f"omniglot-{n_way}way-{k_shot}shot"
    config = replace(_OMNIGLOT, recipe=recipe, n_way=n_way, k_shot=k_shot, test_q_query=k_shot)
    # The paper takes five smaller inner steps where there are more classes to fit.
    if n_way == 20:
        config = replace(config, inner_steps=5, inner_lr=0.1, test_inner_steps=5)
    return config


_MINI = "mini-ImageNet, from a local folder: 64 / 16 / 20 classes of Ravi and Larochelle"
_CIFAR = "CIFAR-FS, from a local folder"
_PLAIN = {  # before a budget is chosen
    **{
        config.recipe: (config, "Omniglot: handwritten characters never seen")
        for config in (_omniglot(n_way, k_shot) for n_way in (5, 20) for k_shot in (1, 5))
    },
    **{
        config.recipe: (replace(config, test_q_query=config.k_shot), _MINI)
        for config in (_photographs("mini-imagenet", k_shot) for k_shot in (1, 5))
    },
}


def with_algorithm(config: Config, algorithm: str) -> Config:
    """The config with the defaults of another algorithm, and of the budget for it if it has one."""
    row = ALGORITHMS[algorithm]
    settings = dict(row.defaults)
    if config.kind == "regression":
        settings |= row.in_regression
    if config.budget is not None:
        plain, _ = _PLAIN[config.recipe]
        # Those of the budget of another algorithm do not stay.
        before = {name: getattr(plain, name) for name in budgets.varied(config.recipe)}
        settings = before | settings | budgets.schedule(config.recipe, config.budget, algorithm)
    if settings.get("adapting", "all") not in ("all", "head"):
        # A head that does not adapt cannot make rows for classes that are new.
        settings["head_rows"] = "separate"
    has = config.network.settings
    lacks = {name for network in NETWORKS.values() for name in network.settings} - {*has}
    lacks |= set() if "norm" in has else BATCH_NORM
    settings = {name: value for name, value in settings.items() if name not in lacks}
    return replace(config, algorithm=algorithm, **settings)


def with_budget(config: Config, budget: Budget | None) -> Config:
    """The config of a recipe with another budget, for the algorithm that it has.

    Raises:
        InputError: The recipe has no such budget, or the data are one's own.

    >>> with_budget(RECIPES["omniglot-5way-1shot"].config, "paper").steps
    60000
    """
    there = budgets.budgets_of(config.recipe)
    if budget not in (there or (None,)):
        name = config.folder or config.table or config.recipe
        remedy = f"choose one of {', '.join(there)}" if there else "leave budget out"
        has = "other budgets" if there else "one schedule alone"
        raise InputError(f"budget is {budget}, and {name} has {has}; {remedy}")
    changed = replace(config, budget=budget)
    return with_algorithm(changed, config.algorithm) if budget else changed


_ALL = (
    Recipe(
        _GLYPHS,
        "glyphs: letters of scripts never seen, rendered here",
        "92.7 ± 0.6 % after 1 step",
    ),
    *(
        Recipe(with_budget(config, budgets.DEFAULT), protocol)
        for config, protocol in _PLAIN.values()
    ),
    *(
        Recipe(_photographs("cifar-fs", k_shot), _CIFAR, f"not measured ({told})")
        for k_shot, told in (
            (1, "Bertinetto et al. 2019: 58.9 ± 1.9 %"),
            (5, "Bertinetto et al. 2019: 71.5 ± 1.0 %"),
        )
    ),
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
