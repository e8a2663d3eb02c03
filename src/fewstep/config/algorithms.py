"""The algorithms: one row each, with its defaults and the settings that it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from fewstep.whole_numbers import counted


@dataclass(frozen=True)
class Algorithm:
    """The entry of an algorithm; a new one is one file in ``fewstep.learners`` and one entry here.

    Its constructor is given the network, and each setting that it has a parameter for.
    """

    learner: str  # ``"module:class"``, imported when it is needed
    settings: frozenset[str]  # of a config, with an effect for this and not for all algorithms
    defaults: Mapping[str, Any] = field(default_factory=dict)  # where not the recipe's
    in_regression: Mapping[str, Any] = field(default_factory=dict)  # over ``defaults``
    needs_classes: bool = False  # makes its last layer anew for each task, of any number of classes
    needs_numbers: bool = False  # predicts numbers, not classes
    head_from_zeros: bool = False  # the network's last layer begins as zeros
    closed_form: bool = False  # adapts in one step, and more of them change nothing


_LOOP = frozenset({"inner_lr", "inner_steps", "test_inner_steps", "precision", "workers"})
BATCH_NORM = frozenset({"per_step_affine", "per_step_statistics"})
_MAML = _LOOP | BATCH_NORM | {"order", "first_order_share", "multi_step_loss", "step_sizes"}
_MAML |= {"adapting", "head_rows", "inner_optimizer", "memory", "compile"}


def _maml(**defaults: Any) -> Algorithm:
    return Algorithm("fewstep.learners.maml:MAML", _MAML, defaults)


_of_classes = partial(Algorithm, needs_classes=True)

ALGORITHMS: Mapping[str, Algorithm] = {
    # These are one inner loop with other settings.
    "maml": _maml(),
    "fomaml": _maml(order="first"),
    "anil": _maml(adapting="head"),
    "boil": _maml(adapting="body"),
    "meta-sgd": _maml(step_sizes="per-element"),
    "maml++": _maml(
        inner_steps=5,
        test_inner_steps=5,
        inner_lr=0.1,
        multi_step_loss=0.1,
        first_order_share=0.3,
        per_step_statistics=True,
        per_step_affine=True,
        step_sizes="per-step",
        final_outer_lr=1e-5,
    ),
    "cavia": replace(
        _maml(adapting="context", context=32, inner_lr=100.0),
        # A picture's loss hardly depends on the context at first, an error in a regression does.
        in_regression={"inner_lr": 1.0},
    ),
    "reptile": Algorithm(
        "fewstep.learners.reptile:Reptile",
        _LOOP,
        {"inner_lr": 0.1, "inner_steps": 5},
        # By 0.1 the error of a sinusoid grows without end after some hundred outer steps.
        in_regression={"inner_lr": 0.01},
    ),
    "imaml": Algorithm(
        "fewstep.learners.imaml:ImplicitMAML",
        _LOOP | {"proximal", "cg_steps"},
        {
            "inner_lr": 0.03,
            "inner_steps": 16,
            "test_inner_steps": 16,
            "model_norm": "group",
            "outer_lr": 5e-4,
        },
    ),
    "protomaml": _of_classes("fewstep.learners.protomaml:ProtoMAML", _LOOP | {"order", "memory"}),
    "protonet": _of_classes(
        "fewstep.learners.protonet:ProtoNet", frozenset({"precision", "workers"})
    ),
    "r2d2": Algorithm(
        "fewstep.learners.r2d2:R2D2",
        frozenset({"precision", "workers", "penalty"}),
        {"test_inner_steps": 1},
        needs_numbers=True,
        head_from_zeros=True,
        closed_form=True,
    ),
    # It takes no inner steps while it trains, and test_inner_steps after that.
    "finetune": Algorithm(
        "fewstep.learners.finetune:FineTune",
        frozenset({"inner_lr", "test_inner_steps", "new_head"}),
        {"inner_lr": 0.1},
        in_regression={"inner_lr": 0.01},
    ),
}


def steps_in_words(algorithm: str | None, steps: int) -> str:
    """The inner steps of an adaptation, for people.

    >>> steps_in_words("maml", 1), steps_in_words("r2d2", 1)
    ('1 inner step', 'solved in closed form')
    """
    # Before adaptation there is nothing solved.
    entry = ALGORITHMS.get(algorithm or "")
    if steps and entry is not None and entry.closed_form:
        return "solved in closed form"
    return counted(steps, "inner step")


if TYPE_CHECKING:
    AlgorithmName = str
else:
    AlgorithmName = Literal[tuple(ALGORITHMS)]
