"""From a learner and a support set to an adapted model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewstep.choices import Norm
from fewstep.config.schema import Config
from fewstep.data.any_preparation import AnyPreparation
from fewstep.data.columns.preparation import TablePreparation
from fewstep.errors import InputError
from fewstep.functional.loss import unwrapped
from fewstep.learners.adapted import copy_of
from fewstep.learners.any_ways import for_ways
from fewstep.learners.base import Learner
from fewstep.learners.is_learner import check_learner
from fewstep.metagrad.metrics import is_of_classes
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.forms import form_of
from fewstep.predictors.half_widths import half_width_of
from fewstep.predictors.outputs import device_of, dtype_of
from fewstep.predictors.protocol import about_of, protocol_of, steps_of, teaching_from
from fewstep.predictors.regressor import AdaptedRegressor
from fewstep.predictors.table_form import Prepared
from fewstep.predictors.targets import numbered, real_targets, table_targets, warn_of_targets


def adapt_classifier(
    learner: Learner,
    x: Any,
    labels: Sequence[Any],
    *,
    steps: int | None = None,
    norm: Norm = "inductive",
    preparation: AnyPreparation | None = None,
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
        preparation: How pictures or rows of a table become examples; the learner's own unless
            given. The classes of a table are those of its training rows.
        temperature: Of the probabilities; the learner's own unless given.
        threshold: Least probability of an answer.
        config: Of the run that the learner is of; its own unless given.

    Raises:
        InputError: The learner is none of a classification, or the examples do not fit.
    """
    one = check_learner(learner)
    if _is_of_numbers(getattr(one, "loss", F.cross_entropy)):
        raise InputError(
            "the learner is of a regression by its loss; use FewShotRegressor, or a learner of a "
            "classification"
        )
    config = config or one.config
    preparation = preparation or one.preparation
    support_x = form_of(preparation, None, dtype_of(one)).tensor(x).to(device_of(one))
    if isinstance(preparation, TablePreparation):
        # Its last layer knows what each class means.
        _check_kind(preparation, "classification", "FewShotRegressor")
        classes, fitting, note = preparation.classes, one, ""
        numbers = table_targets(labels, len(support_x), preparation).tolist()
    else:
        classes, numbers = numbered(labels, len(support_x))
        fitting, note = for_ways(one, len(classes))
    steps = steps_of(steps, fitting, config)
    support_y = torch.tensor(numbers, device=support_x.device)
    module = fitting.adapt(support_x, support_y, steps, norm)
    shots = np.bincount(numbers, minlength=len(classes)).tolist()
    about = about_of(
        one, config, support_x, protocol_of(one, fitting, config, steps, norm, shots, note)
    )
    return AdaptedClassifier(
        module,
        classes,
        preparation,
        one.temperature if temperature is None else temperature,
        threshold,
        about,
        teaching_from(one, support_x, support_y),
    )


def adapt_regressor(
    learner: Learner,
    x: Any,
    y: Any,
    *,
    steps: int | None = None,
    norm: Norm = "inductive",
    preparation: AnyPreparation | None = None,
    config: Config | None = None,
) -> AdaptedRegressor:
    """Adapt a learner to the function of a support set.

    Args:
        learner: Any learner of a regression. It is not changed.
        x: The support examples, as in `adapt_classifier`.
        y: Their targets, ``[examples]`` or ``[examples, outputs]``, in the unit of the targets that
            the learner was trained on; of a table in the unit of the table.
        steps: As in `adapt_classifier`.
        norm: As in `adapt_classifier`.
        preparation: As in `adapt_classifier`.
        config: As in `adapt_classifier`.

    Raises:
        InputError: The learner is none of a regression, or the examples do not fit.
    """
    one = check_learner(learner)
    if is_of_classes(getattr(one, "loss", F.cross_entropy)):
        raise InputError(
            "the learner is of a classification by its loss; use FewShotClassifier, or a learner "
            'of a regression, as in fewstep.MAML(model, loss="mse")'
        )
    config = config or one.config
    preparation = preparation or one.preparation
    support_x = form_of(preparation, None, dtype_of(one)).tensor(x).to(device_of(one))
    if isinstance(preparation, TablePreparation):
        _check_kind(preparation, "regression", "FewShotClassifier")
        targets = table_targets(y, len(support_x), preparation).to(support_x)
        # What was prepared before was told before.
        if not isinstance(x, Prepared):
            warn_of_targets(x, y, len(support_x), preparation)
    else:
        targets = real_targets(y, len(support_x)).to(support_x)
    steps = steps_of(steps, one, config)
    support_y = _like_output(one, support_x, targets)
    module = one.adapt(support_x, support_y, steps, norm)
    half_width, note = half_width_of(one.half_widths, len(support_x), steps, config)
    about = about_of(
        one, config, support_x, protocol_of(one, one, config, steps, norm, [len(support_x)], note)
    )
    about["outputs"] = 1 if support_y.dim() == 1 else support_y.shape[1]
    about["half_widths"] = one.half_widths and {str(n): w for n, w in one.half_widths.items()}
    about["coverage"] = one.coverage and {str(n): share for n, share in one.coverage.items()}
    taught = teaching_from(one, support_x, support_y)
    return AdaptedRegressor(module, preparation, about, taught, half_width)


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


def _check_kind(preparation: TablePreparation, kind: str, other: str) -> None:
    if preparation.kind != kind:
        raise InputError(
            f"the learner is of a {preparation.kind} of {preparation.target!r}; use {other}"
        )
