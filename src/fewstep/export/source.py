"""Sources of exports: programs by the ending of their file's name, and what the files tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fewstep.choices import Norm, What
from fewstep.data.any_preparation import preparation_as_json
from fewstep.errors import InputError
from fewstep.export.adaptation import (
    OUTPUTS,
    X,
    adaptation_of,
    as_tensor,
    before_adaptation,
    few_shot_of,
)
from fewstep.export.decompositions import layers_for_files
from fewstep.export.eight_bits import names_of
from fewstep.export.program import Program
from fewstep.functional.batch_norm import by_own_statistics
from fewstep.functional.overrides import TwiceDifferentiable
from fewstep.learners.base import Learner
from fewstep.learners.finetune import FineTune
from fewstep.learners.protonet import ProtoNet
from fewstep.learners.r2d2 import R2D2
from fewstep.predictors.adapted_dir import versions
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.regressor import AdaptedRegressor

Adapted = AdaptedClassifier | AdaptedRegressor


@dataclass(frozen=True)
class Export:
    """Programs, and what their files tell.

    Attributes:
        programs: By what stands behind the name of the file, as in ``owls-step.onnx``; "" for
            nothing.
        about: The metadata by name, as JSON.
        large: Names of constants that may be kept in eight bits.
    """

    programs: Mapping[str, Program]
    about: Mapping[str, str]
    large: frozenset[str] = frozenset()

    def places(self, out: Path) -> dict[str, Path]:
        """The file of each program."""
        return {
            ending: out.with_name(f"{out.stem}-{ending}{out.suffix}") if ending else out
            for ending in self.programs
        }

    def remove_others(self, out: Path) -> None:
        """Remove parts of an earlier adaptation by that name that this one does not have.

        A reader takes all parts that it finds, as the example of the documentation does.
        """
        if "predict" not in self.programs:
            return
        for ending in {"step", "statistics"} - set(self.programs):
            out.with_name(f"{out.stem}-{ending}{out.suffix}").unlink(missing_ok=True)


def export_of(
    source: Any, what: What | None, x: Any = None, y: Any = None, norm: Norm = "inductive"
) -> Export:
    """The export that is asked for; see `fewstep.export.to_onnx`."""
    is_learner = isinstance(source, Learner)
    what = what or ("adaptation" if is_learner else "adapted")
    if what not in get_args(What):
        raise InputError(f"what is {what!r}; expected one of {', '.join(get_args(What))}")
    if is_learner != (what != "adapted"):
        given = f"the learner {type(source).__name__}" if is_learner else "an adapted model"
        raise InputError(f"what is {what!r} for {given}; expected {_fitting(is_learner)}")
    if is_learner:
        if not isinstance(x, Tensor) or not isinstance(y, Tensor):
            raise InputError(
                "x or y is not given; give tensors like a task's support examples and targets, "
                "whose shapes and types become those of the file"
            )
        return _of_learner(source, what, x, y, norm)
    if isinstance(source, AdaptedClassifier | AdaptedRegressor):
        return _of_adapted(source, x)
    if not isinstance(source, nn.Module) or not isinstance(x, Tensor):
        raise InputError(
            f"a {type(source).__name__} is given with x of {type(x).__name__}; expected an adapted "
            "model, a learner with x and y, or a module with examples x"
        )
    return Export({"": _of_module(source, x)}, _texts({"what": "adapted"}), names_of(source))


def _fitting(is_learner: bool) -> str:
    return "'meta-learned' or 'adaptation'" if is_learner else "'adapted'"


def _of_adapted(adapted: Adapted, x: Any) -> Export:
    if x is None:
        shape = adapted.about.get("example_shape")
        if shape is None:
            raise InputError("the shape of an example is not known; give examples x")
        first = next(adapted.module.parameters())
        x = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0)).to(first)
    protocol = adapted.about.get("protocol") or {}
    told: dict[str, Any] = {
        "what": "adapted",
        "example_shape": list(x.shape[1:]),
        "preparation": preparation_as_json(adapted.preparation),
        **{n: protocol.get(n) for n in ("learner", "algorithm", "inner_steps", "inner_lr")},
        "norm": adapted.norm,
    }
    if isinstance(adapted, AdaptedClassifier):
        told |= {"kind": "classification", "classes": list(adapted.classes)}
        told |= {"temperature": adapted.temperature, "threshold": adapted.threshold}
    else:
        told |= {"kind": "regression", "half_width": adapted.half_width}
    program = _of_module(adapted.module, x)
    return Export({"": program}, _texts(told), names_of(adapted.module))


def _of_module(module: nn.Module, x: Tensor) -> Program:
    """A module as it is; `PureModel` would have its batch norm see each batch again."""
    tensors = {n: v.detach() for n, v in (*module.named_parameters(), *module.named_buffers())}

    buffers = {name for name, _ in module.named_buffers()}

    def predict(t: Mapping[str, Tensor]) -> dict[str, Tensor]:
        own = {name: t[name].clone() if name in buffers else t[name] for name in tensors}
        with torch.no_grad(), layers_for_files(), TwiceDifferentiable(by_own_statistics, {}):
            return {OUTPUTS: as_tensor(functional_call(module, own, (t[X],)))}

    return Program(predict, {X: x}, frozenset({X}), tensors)


def _of_learner(learner: Learner, what: What, x: Tensor, y: Tensor, norm: Norm) -> Export:
    config = learner.config
    steps = learner.inner_steps if config is None else config.test_inner_steps
    if isinstance(learner, ProtoNet) or what == "meta-learned":
        steps = 0
    sizes = getattr(learner, "step_sizes", "fixed")
    told: dict[str, Any] = {
        "what": what,
        "kind": "regression" if y.is_floating_point() else "classification",
        "example_shape": list(x.shape[1:]),
        "preparation": preparation_as_json(learner.preparation),
        "learner": type(learner).__name__,
        "algorithm": None if config is None else config.algorithm,
        "inner_steps": steps,
        "inner_lr": None if isinstance(learner, R2D2) else getattr(learner, "inner_lr", None),
        "step_sizes": _step_sizes(learner) if sizes == "per-step" else sizes,
        "temperature": learner.temperature,
        "norm": norm if what == "adaptation" else "transductive",
    }
    large = names_of(network_of(learner))
    if what == "meta-learned":
        return Export({"": before_adaptation(learner, x, y)}, _texts(told), large)
    return Export(adaptation_of(learner, x, y, norm), _texts(told), large)


def network_of(learner: Any) -> nn.Module:
    """The network of a learner."""
    model: nn.Module = learner.wide if isinstance(learner, FineTune) else learner.model
    return model


def _step_sizes(learner: Learner) -> dict[str, list[float]]:
    step_sizes = few_shot_of(learner).named("_step_sizes")
    return {name: value.tolist() for name, value in step_sizes.items()}


def _texts(told: Mapping[str, Any]) -> dict[str, str]:
    whole = {"fewstep": versions()["fewstep"], **told}
    return {name: json.dumps(value) for name, value in whole.items()}
