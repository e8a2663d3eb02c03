"""The schedules of the recipes that have two budgets: ``paper``, and ``fast``.

``paper`` is the schedule of the paper that an algorithm is from, setting by setting. ``fast`` is
a shorter one. A schedule is what it has for every algorithm, under ``ALL``, and then what an
algorithm has of its own; all other settings are those of the recipe and the algorithm.
`fewstep.published.protocols` says where a budget departs from its paper, and why.
"""

from collections.abc import Mapping
from typing import Any, get_args

from fewstep.choices import Budget

Settings = Mapping[str, Any]
ALL = "all"
BUDGETS: tuple[Budget, ...] = get_args(Budget)
DEFAULT: Budget = "fast"

# Omniglot, found on validation classes with MAML. Its cells are one training, which is validated
# and tested in tasks of other sizes. It is MAML++'s as well, twice as long: with one inner step and
# without batch norm nothing is left of MAML++ that MAML does not have here.
_OMNIGLOT: Settings = {
    "optimizer": "muon",
    "outer_lr": 8e-3,
    "final_outer_lr": 1e-5,
    "ema_decay": 0.99,
    "steps": 8_000,
    "val_every": 500,
}
_ONE_STEP: Settings = {
    "head_rows": "shared",
    "model_norm": "group",
    "downsample": "max-pool",
    "crop": 2,
    "inner_steps": 1,
    "inner_lr": 0.4,
    "test_inner_steps": 1,
    "step_sizes": "per-step",
    "n_way": 60,
    "k_shot": 1,
    "q_query": 1,
    "meta_batch": 2,
    "steps": 6_000,
}
_LONGER: Settings = {
    "steps": 12_000,
    "first_order_share": 0.0,
    "multi_step_loss": 0.0,
    "per_step_affine": False,
    "per_step_statistics": False,
}
_PHOTOGRAPHS: Settings = {"final_outer_lr": 1e-5}
_FAST_PHOTOGRAPHS: Mapping[str, Settings] = {
    ALL: _PHOTOGRAPHS,
    "maml": {},
    "fomaml": {},
    "maml++": {"steps": 50_000},  # as many as in the paper
}


def _fast_omniglot(n_way: int, k_shot: int) -> Mapping[str, Settings]:
    one_step = {**_ONE_STEP, "test_n_way": n_way, "test_k_shot": k_shot}
    tasks = {"meta_batch": 8, "q_query": 5} if n_way == 5 else {"meta_batch": 4, "q_query": 2}
    every = {ALL: {**_OMNIGLOT, **tasks}, "maml": one_step, "fomaml": one_step}
    return {**every, "maml++": {**one_step, **_LONGER}}


FAST: Mapping[str, Mapping[str, Settings]] = {
    "omniglot-5way-1shot": _fast_omniglot(5, 1),
    "omniglot-5way-5shot": _fast_omniglot(5, 5),
    "omniglot-20way-1shot": _fast_omniglot(20, 1),
    "omniglot-20way-5shot": _fast_omniglot(20, 5),
    "mini-imagenet-5way-1shot": _FAST_PHOTOGRAPHS,
    "mini-imagenet-5way-5shot": _FAST_PHOTOGRAPHS,
}

# Finn, Abbeel and Levine 2017, section 5.2 and appendix A.1, and the authors' program.
_MAML: Settings = {
    "outer_lr": 1e-3,
    "final_outer_lr": None,
    "ema_decay": 0.0,
    "steps": 60_000,
    "val_every": 1000,
}
# Antoniou, Edwards and Storkey 2019: the configs of the authors' program.
_MAML_PLUS_PLUS: Settings = {
    "downsample": "max-pool",
    "inner_lr": 0.1,
    "inner_steps": 5,
    "test_inner_steps": 5,
    "first_order_share": 0.0,
    "steps": 50_000,
    "val_every": 500,
}
_OF_OMNIGLOT = {**_MAML_PLUS_PLUS, "meta_batch": 8, "q_query": 1, "multi_step_loss": 0.1}
_OF_OMNIGLOT |= {"final_outer_lr": 1e-5}
_OF_PHOTOGRAPHS = {**_MAML_PLUS_PLUS, "meta_batch": 2, "filters": 48, "multi_step_loss": 0.15}
# Its least step size is the first one there, so that annealing has no effect.
_OF_PHOTOGRAPHS |= {"final_outer_lr": None}


def _omniglot(n_way: int, k_shot: int) -> Mapping[str, Settings]:
    own = {**_MAML, "meta_batch": 32 if n_way == 5 else 16, "q_query": k_shot}
    return {ALL: own, "maml++": _OF_OMNIGLOT}


def _photographs(k_shot: int) -> Mapping[str, Settings]:
    own = {**_MAML, "meta_batch": 4 if k_shot == 1 else 2, "q_query": 15}
    return {ALL: own, "maml++": _OF_PHOTOGRAPHS}


PAPER: Mapping[str, Mapping[str, Settings]] = {
    "omniglot-5way-1shot": _omniglot(5, 1),
    "omniglot-5way-5shot": _omniglot(5, 5),
    "omniglot-20way-1shot": _omniglot(20, 1),
    "omniglot-20way-5shot": _omniglot(20, 5),
    "mini-imagenet-5way-1shot": _photographs(1),
    "mini-imagenet-5way-5shot": _photographs(5),
}
_TABLES: Mapping[Budget, Mapping[str, Mapping[str, Settings]]] = {"fast": FAST, "paper": PAPER}


def budgets_of(recipe: str) -> tuple[Budget, ...]:
    """The budgets of a recipe, the usual one first; none where it has one schedule.

    >>> budgets_of("omniglot-5way-1shot"), budgets_of("sinusoid")
    (('fast', 'paper'), ())
    """
    return tuple(budget for budget in BUDGETS if recipe in _TABLES[budget])


def schedule(recipe: str, budget: Budget, algorithm: str) -> dict[str, Any]:
    """The settings of a budget for an algorithm.

    >>> schedule("omniglot-20way-1shot", "paper", "maml")["meta_batch"]
    16
    """
    of_recipe = _TABLES[budget][recipe]
    return {**of_recipe[ALL], **of_recipe.get(algorithm, {})}


def varied(recipe: str) -> frozenset[str]:
    """Names of the settings that any schedule of a recipe has."""
    every = [s for budget in budgets_of(recipe) for s in _TABLES[budget][recipe].values()]
    return frozenset(name for settings in every for name in settings)
