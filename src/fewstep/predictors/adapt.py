"""From a learner and a support set to an adapted model."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.choices import Norm
from fewstep.config.schema import Config
from fewstep.data.preparation import Preparation
from fewstep.errors import InputError
from fewstep.functional.loss import unwrapped
from fewstep.learners.adapted import copy_of
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.learners.protonet import ProtoNet
from fewstep.metagrad.metrics import is_of_classes
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.inputs import ExampleForm
from fewstep.predictors.outputs import device_of, dtype_of
from fewstep.predictors.regressor import AdaptedRegressor
from fewstep.predictors.targets import numbered, real_targets
from fewstep.predictors.teaching import Teaching


def adapt_classifier(
    learner: Learner,
    x: Any,
    labels: Sequence[Any],
    *,
    steps: int | None = None,
    norm: Norm = "inductive",
    preparation: Preparation | None = None,
    temperature: float | None = None,
    threshold: float | None = None,
    config: Config | None = None,
) -> AdaptedClassifier:
    """Adapt a learner to the classes of a support set, which may be any number.

    Args:
        learner: Any learner of a classification. It is not changed.
        x: The support examples, as `AdaptedClassifier.predict_proba` takes them.
        labels: One a support example, strings or whole numbers. Sorted, they are the classes.
        steps: How many inner steps; those of the run's validation, or of the learner unless given.
        norm: Which statistics batch norm of the result uses, as in ``learner.adapt``.
        preparation: How pictures become examples; the learner's own unless given.
        temperature: Of the probabilities; the learner's own unless given.
        threshold: Least probability of an answer.
        config: Of the run that the learner is of; its own unless given.

    Raises:
        InputError: The learner is none of a classification, or the examples do not fit.
    """
    one = learner_of(learner)
    if _is_of_numbers(getattr(one, "loss", F.cross_entropy)):
        raise InputError(
            "the learner is of a regression by its loss; use FewShotRegressor, or a learner of a "
            "classification"
        )
    config = config or one.config
    preparation = preparation or one.preparation
    support_x = ExampleForm(preparation, None, dtype_of(one)).tensor(x).to(device_of(one))
    classes, numbers = numbered(labels, len(support_x))
    fitting, note = for_ways(one, len(classes))
    steps = _steps(steps, fitting, config)
    support_y = torch.tensor(numbers, device=support_x.device)
    module = fitting.adapt(support_x, support_y, steps, norm)
    shots = np.bincount(numbers, minlength=len(classes)).tolist()
    about = _about(
        one, config, support_x, _protocol(one, fitting, config, steps, norm, shots, note)
    )
    return AdaptedClassifier(
        module,
        classes,
        preparation,
        one.temperature if temperature is None else temperature,
        threshold,
        about,
        _teaching(one, support_x, support_y),
    )


def adapt_regressor(
    learner: Learner,
    x: Any,
    y: Any,
    *,
    steps: int | None = None,
    norm: Norm = "inductive",
    preparation: Preparation | None = None,
    config: Config | None = None,
) -> AdaptedRegressor:
    """Adapt a learner to the function of a support set.

    Args:
        learner: Any learner of a regression. It is not changed.
        x: The support examples, as in `adapt_classifier`.
        y: Their targets, ``[examples]`` or ``[examples, outputs]``, in the unit of the targets that
            the learner was trained on.
        steps: As in `adapt_classifier`.
        norm: As in `adapt_classifier`.
        preparation: As in `adapt_classifier`.
        config: As in `adapt_classifier`.

    Raises:
        InputError: The learner is none of a regression, or the examples do not fit.
    """
    one = learner_of(learner)
    if is_of_classes(getattr(one, "loss", F.cross_entropy)):
        raise InputError(
            "the learner is of a classification by its loss; use FewShotClassifier, or a learner "
            'of a regression, as in fewstep.MAML(model, loss="mse")'
        )
    config = config or one.config
    preparation = preparation or one.preparation
    support_x = ExampleForm(preparation, None, dtype_of(one)).tensor(x).to(device_of(one))
    targets = real_targets(y, len(support_x)).to(support_x)
    steps = _steps(steps, one, config)
    support_y = _like_output(one, support_x, targets)
    module = one.adapt(support_x, support_y, steps, norm)
    about = _about(
        one, config, support_x, _protocol(one, one, config, steps, norm, [len(support_x)], "")
    )
    about["outputs"] = 1 if support_y.dim() == 1 else support_y.shape[1]
    return AdaptedRegressor(module, preparation, about, _teaching(one, support_x, support_y))


def learner_of(learner: Any) -> Learner:
    """The learner itself, of one that shares its tasks out; `InputError` where it is none."""
    if isinstance(learner, type) or not all(
        hasattr(learner, n) for n in ("differentiate", "adapt")
    ):
        raise InputError(
            f"learner is a {getattr(learner, '__name__', type(learner).__name__)}; expected a "
            "learner, as in fewstep.MAML(model)"
        )
    alone: Learner = getattr(learner, "learner", learner)
    return alone


def _is_of_numbers(loss: Any) -> bool:
    """Whether a loss is one of PyTorch's for regressions, however given."""
    of_numbers = (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss)
    modules = nn.MSELoss | nn.L1Loss | nn.SmoothL1Loss | nn.HuberLoss
    return unwrapped(loss) in of_numbers or isinstance(loss, modules)


def _like_output(learner: Learner, x: Tensor, y: Tensor) -> Tensor:
    """Targets with as many dimensions as the network's output has."""
    model = getattr(learner, "model", None)
    flat = False
    if isinstance(model, nn.Module):
        with torch.no_grad():
            found = copy_of(model).eval()(x[:1])
        flat = isinstance(found, Tensor) and found.dim() == 1
    if flat:
        return y[:, 0] if y.shape[1:] == (1,) else y
    return y[:, None] if y.dim() == 1 else y


def _steps(given: int | None, learner: Learner, config: Config | None) -> int:
    if isinstance(learner, ProtoNet):
        return 0
    if given is not None:
        return given
    return learner.inner_steps if config is None else config.test_inner_steps


def _protocol(
    learner: Learner,
    fitting: Learner,
    config: Config | None,
    steps: int,
    norm: Norm,
    shots: list[int],
    note: str,
) -> dict[str, Any]:
    rate = getattr(fitting, "inner_lr", None)
    return {
        "learner": type(learner).__name__,
        "algorithm": None if config is None else config.algorithm,
        "inner_steps": steps,
        "inner_lr": float(rate) if isinstance(rate, int | float) else None,
        "norm": norm,
        "shots": shots,
        "note": note,
    }


def _about(
    learner: Learner, config: Config | None, x: Tensor, protocol: dict[str, Any]
) -> dict[str, Any]:
    settings = None if config is None else asdict(config)
    # Where the data were is nobody's business, and the next machine has none there.
    if settings:
        settings["data_dir"] = None
        settings["folder"] = settings["folder"] and Path(settings["folder"]).name
    return {
        "example_shape": list(x.shape[1:]),
        "protocol": protocol,
        "config": settings,
        "training_classes": getattr(learner, "classes", None),
    }


def _teaching(learner: Learner, x: Tensor, y: Tensor) -> Teaching:
    start = {name: value.detach().cpu().clone() for name, value in learner.state_dict().items()}
    return Teaching(start, x.detach().cpu(), y.cpu())
