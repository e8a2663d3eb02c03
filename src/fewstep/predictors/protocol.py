"""How a model came to be adapted, and what further teaching begins from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from fewstep.choices import Norm
from fewstep.config.schema import Config
from fewstep.learners.base import Learner
from fewstep.learners.protonet import ProtoNet
from fewstep.learners.r2d2 import R2D2
from fewstep.predictors.teaching import Teaching
from fewstep.whole_numbers import check_whole


def steps_of(given: int | None, learner: Learner, config: Config | None) -> int:
    """How many inner steps: those given, or those of the run's test.

    Raises:
        InputError: No such number is given.
    """
    given = None if given is None else check_whole("steps", given)
    if isinstance(learner, ProtoNet):
        return 0
    # One step leads to its solution, and an interval is measured after so many as usual.
    if given is not None and not (given and isinstance(learner, R2D2)):
        return given
    return learner.inner_steps if config is None else config.test_inner_steps


def protocol_of(
    learner: Learner,
    fitting: Learner,
    config: Config | None,
    steps: int,
    norm: Norm,
    shots: list[int],
    note: str,
) -> dict[str, Any]:
    """The adaptation as JSON values."""
    # A solution in closed form has no step size.
    rate = None if isinstance(fitting, R2D2) else getattr(fitting, "inner_lr", None)
    return {
        "learner": type(learner).__name__,
        "algorithm": None if config is None else config.algorithm,
        "inner_steps": steps,
        "inner_lr": float(rate) if isinstance(rate, int | float) else None,
        "norm": norm,
        "shots": shots,
        "note": note,
    }


def about_of(
    learner: Learner, config: Config | None, x: Tensor, protocol: dict[str, Any]
) -> dict[str, Any]:
    """All that is known of an adapted model, as JSON values."""
    settings = None if config is None else asdict(config)
    # Where the data were is nobody's business, and the next machine has none there.
    if settings:
        settings["data_dir"] = None
        for place in ("folder", "table"):
            settings[place] = settings[place] and Path(settings[place]).name
    return {
        "example_shape": list(x.shape[1:]),
        "protocol": protocol,
        "config": settings,
        "training_classes": getattr(learner, "classes", None),
    }


def teaching_from(learner: Learner, x: Tensor, y: Tensor) -> Teaching:
    """The start and the support set, apart from those of the caller."""
    start = {name: value.detach().cpu().clone() for name, value in learner.state_dict().items()}
    return Teaching(start, x.detach().cpu(), y.cpu())
