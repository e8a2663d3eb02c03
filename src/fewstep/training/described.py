"""A learner and an optimiser as plain values, by which a run knows its own again."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer

from fewstep.errors import InputError
from fewstep.files import read_json_object
from fewstep.learners.base import Learner
from fewstep.training.optimizer import HOW
from fewstep.training.settings import SHARED, OuterSettings

BY_FIT = "fewstep.fit"  # under "made_by" in the config of a run not of the command line
MAY_CHANGE = ("steps", "patience", "checkpoint_every")
_NOT_OF_TRAINING = ("model", "memory", "execution", "compile")  # and what changes rounding alone
_OWN = "own: "  # before the name of what only the user's code can make again
_MOVED = ("lr", "momentum", "betas")  # by schedulers
_NOT_FOUND = object()


def described(learner: Learner, optimizer: Optimizer) -> dict[str, Any]:
    """Their classes and settings as JSON values."""
    one = getattr(learner, "learner", learner)
    told = {"learner": f"{type(one).__module__}:{type(one).__qualname__}"}
    for name in inspect.signature(type(one)).parameters:
        if name not in _NOT_OF_TRAINING:
            told[f"learner.{name}"] = _plain(getattr(one, name, _NOT_FOUND))
    told["optimizer"] = type(optimizer).__name__
    told |= {f"optimizer.{n}": _plain(v) for n, v in optimizer.defaults.items()}
    return told | {"optimizer.groups": _groups(learner, optimizer)}


def _groups(learner: Learner, optimizer: Optimizer) -> list[dict[str, Any]] | None:
    """The optimiser's groups of parameters; None where there is one, of all.

    Schedulers move step sizes and momenta: of those, only the first step size tells runs apart.
    """
    names = {id(parameter): name for name, parameter in learner.named_parameters()}
    told = []
    for group in optimizer.param_groups:
        of = [names.get(id(parameter), "other") for parameter in group["params"]]
        usual = {n: v for n, v in optimizer.defaults.items() if n not in (*_MOVED, *HOW)}
        own = {n: _plain(group[n]) for n, value in usual.items() if group[n] != value}
        first = _plain(group.get("initial_lr", group.get("lr")))
        told.append({"parameters": of, "lr": first, **own})
    of_all = len(told) == 1 and set(told[0]) == {"parameters", "lr"}
    return None if of_all and set(told[0]["parameters"]) == set(names.values()) else told


def settings_of_fit(values: dict[str, Any], larger_is_better: bool) -> OuterSettings:
    """The settings of the outer loop, of what `fit` was given and of what describes the rest."""
    decisive = {name: value for name, value in values.items() if name not in MAY_CHANGE}
    return OuterSettings(
        **{name: values[name] for name in (*SHARED, "val_steps")},
        larger_is_better=larger_is_better,
        remedy="try a smaller inner_lr, or a smaller step size of the optimizer, in a new run",
        digest=hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16],
        recorded=values,
        decisive=decisive,
        read=read_fit_config,
    )


def is_made_by_fit(config: Path) -> bool:
    """Whether a run's config is one of `fewstep.fit`, whose network is the user's."""
    try:
        return bool(json.loads(config.read_text(encoding="utf-8"))["made_by"] == BY_FIT)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def read_fit_config(path: Path) -> dict[str, Any]:
    """The settings of a run of `fit`; the file may be damaged, or of the command line."""
    values = read_json_object(path, "restore it or train in a new run directory")
    if values.get("made_by") != BY_FIT:
        raise InputError(
            f"{path.parent} was made by fewstep train: go on with it there, or choose another run "
            "directory"
        )
    return values


def rebuilt(values: dict[str, Any], model: nn.Module, path: Path) -> Learner:
    """The learner of a run of `fit`, around a network, where it needs no code of the user's."""
    kind, settings = str(values.get("learner")), {}
    for name, value in values.items():
        if name.startswith("learner."):
            settings[name.removeprefix("learner.")] = _given(value)
    own = [name for name, value in settings.items() if value is _NOT_FOUND]
    if own or not kind.startswith("fewstep."):
        raise InputError(
            f"{path} was trained by a learner with {', '.join(own) or 'code'} of your own; give "
            "the learner in place of the network, as in fewstep.load(run_dir, learner)"
        )
    learner: Learner = resolve_name(kind)(model, **settings)
    return learner


def _plain(value: Any) -> Any:
    """A setting as JSON holds it; of a function its name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    name = getattr(value, "__name__", type(value).__name__)
    return f"torch:{name}" if getattr(F, name, None) is value else _OWN + name


def _given(value: Any) -> Any:
    """The setting that a JSON value stands for; `_NOT_FOUND` where it is the user's own."""
    if isinstance(value, dict):
        given = {name: _given(part) for name, part in value.items()}
        return _NOT_FOUND if _NOT_FOUND in given.values() else given
    if not isinstance(value, str):
        return value
    if value.startswith("torch:"):
        return getattr(F, value.removeprefix("torch:"), _NOT_FOUND)
    return _NOT_FOUND if value.startswith(_OWN) else value
