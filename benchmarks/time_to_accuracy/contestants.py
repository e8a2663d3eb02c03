"""The trainings: algorithms of fewstep by one recipe, and another library by MAML's."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any

from fewstep.config.recipes import find_recipe, with_algorithm
from fewstep.config.schema import Config
from fewstep.report.page.command import option

RECIPE = "omniglot-5way-1shot"
PEER = "higher"
AS_MANY_STEPS = f"{PEER}, as many steps as MAML"
ALGORITHMS = {
    "MAML": "maml",
    "first-order MAML": "fomaml",
    "MAML++": "maml++",
    PEER: "maml",
    AS_MANY_STEPS: "maml",
}
"""The algorithm of each contestant."""
OF_SEVERAL_STEPS = {
    "inner_steps": 2,
    "inner_lr": 0.2,
    "test_inner_steps": 2,
    "multi_step_loss": 0.1,
    "model_norm": "batch",
    "per_step_affine": True,
    "per_step_statistics": True,
}
"""What MAML++ has for several steps: by the fast budget it is MAML's training otherwise."""
USUAL = ("MAML", "first-order MAML", "MAML++", PEER)
"""The contestants where none is named."""
PLAIN = {
    "norm": "transductive",
    "adapting": "all",
    "order": "exact",
    "multi_step_loss": 0.0,
    "per_step_affine": False,
    "per_step_statistics": False,
    "inner_optimizer": "sgd",
}
"""The loop of the peer's documentation, by the settings of a config."""


@dataclass(frozen=True)
class Training:
    """One training: a contestant, and how long it is planned to take.

    Attributes:
        name: Of the contestant.
        minutes: That it may take.
        settings: Others than the recipe's, by name.
        steps: Outer steps; those of the recipe where 0.
    """

    name: str
    minutes: float
    settings: dict[str, Any]
    steps: int = 0

    @property
    def folder(self) -> str:
        """A name for its files."""
        plain = "".join(c if c.isalnum() else "-" for c in self.name.replace("++", "-plus-plus"))
        return f"{plain.lower()}-{self.minutes:g}-minutes".replace("--", "-")

    @property
    def by_peer(self) -> bool:
        """Whether another library trains."""
        return self.name.startswith(PEER)

    @property
    def config(self) -> Config:
        """All settings."""
        given = dict(self.settings)
        config = find_recipe(given.pop("recipe", RECIPE)).config
        own = OF_SEVERAL_STEPS if self.name == "MAML++" else {}
        config = replace(with_algorithm(config, ALGORITHMS[self.name]), **{**own, **given})
        if config.data_set.has_folder:
            config = replace(config, data_dir=os.environ.get("FEWSTEP_DATA"))
        if self.by_peer:
            config = replace(config, **PLAIN)
        if not self.steps:
            return config
        # Both kinds of training stop about as often to keep a point.
        return replace(config, steps=self.steps, checkpoint_every=max(1, self.steps // POINTS))

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


POINTS = 64
"""At which the initialisation is kept, evenly over the outer steps."""


def departures(training: Training) -> list[str]:
    """Settings in which the peer is not trained as MAML is, as text."""
    own, plain = replace(training, name="MAML").config, training.config
    names = [name for name in PLAIN if getattr(own, name) != getattr(plain, name)]
    return [f"{name} {getattr(plain, name)}, not {getattr(own, name)}" for name in names]


def of_several_steps() -> str:
    """The options by which the recipe's MAML++ is the contestant."""
    return " ".join(word for item in OF_SEVERAL_STEPS.items() for word in option(*item))
