"""Further examples and classes for an adapted model."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fewstep.config.file import config_of
from fewstep.config.schema import Config
from fewstep.data.columns.preparation import TablePreparation
from fewstep.errors import InputError
from fewstep.learners.base import Learner
from fewstep.learners.build import learner_for
from fewstep.learners.is_learner import check_learner
from fewstep.predictors.adapt import adapt_classifier, adapt_regressor
from fewstep.predictors.adapted_dir import teaching_of
from fewstep.predictors.classifier import AdaptedClassifier
from fewstep.predictors.regressor import AdaptedRegressor
from fewstep.predictors.spec import spec_of
from fewstep.predictors.table_form import Prepared
from fewstep.predictors.targets import real_targets, warn_of_targets
from fewstep.predictors.teaching import Teaching

Adapted = AdaptedClassifier | AdaptedRegressor


def with_more(
    adapted: Adapted, x: Any, targets: Any, *, steps: int | None = None, learner: Any = None
) -> Adapted:
    """Adapt again, from the same initialisation, to the support set and further examples.

    Args:
        adapted: A model that is not changed.
        x: Further examples, of any kind.
        targets: Their labels, of known classes or of new ones; of a regression their targets.
        steps: How many inner steps; as many as before unless given.
        learner: For a model whose network is the user's own, the learner that it was adapted
            from, with any weights. It is not changed.

    Raises:
        InputError: What it was adapted from is not known, or the examples do not fit.
    """
    known = teaching_of(adapted.teaching)
    if known is None:
        raise InputError(
            "the model does not know what it was adapted from; adapt a run anew on all examples"
        )
    one = started(adapted, known, learner)
    more = adapted.form.tensor(x)
    both = torch.cat([known.support_x, more.to(known.support_x)])
    how = adapted.preparation
    is_table = isinstance(how, TablePreparation)
    both_x = Prepared(both) if is_table else both
    protocol = adapted.about["protocol"]
    given = {"norm": protocol["norm"], "preparation": how, "config": one.config}
    # None were taken where prototypes stood in for inner steps; now there may be room for some.
    given["steps"] = (protocol["inner_steps"] or None) if steps is None else steps
    if isinstance(adapted, AdaptedRegressor):
        before, new = known.support_y, real_targets(targets, len(more))
        if isinstance(how, TablePreparation):
            before = how.unscaled(before.double())
            warn_of_targets(x, new, len(more), how)
        before, new = (y[:, None] if y.dim() == 1 else y for y in (before, new))
        if before.shape[1:] != new.shape[1:]:
            raise InputError(
                f"a target has {new.shape[1]} numbers and those before {before.shape[1]}; expected "
                "as many"
            )
        return adapt_regressor(one, both_x, torch.cat([before.double(), new]), **given)
    labels_before = [adapted.classes[number] for number in known.support_y.tolist()]
    return adapt_classifier(
        one,
        both_x,
        [*labels_before, *(targets.tolist() if hasattr(targets, "tolist") else targets)],
        temperature=adapted.temperature,
        threshold=adapted.threshold,
        **given,
    )


def started(adapted: Adapted, known: Teaching, given: Any) -> Learner:
    """The learner that the model was adapted from, with the initialisation of then."""
    if given is not None:
        one = copy.deepcopy(check_learner(given))
        one.config = None
    elif adapted.about["config"] is None:
        raise InputError(
            "the model was adapted from a learner of your own; give it, as in "
            "with_more(adapted, x, labels, learner=learner)"
        )
    else:
        one = _of_run(adapted, config_of(adapted.about["config"], Path("adapted.json")))
    one.load_state_dict(known.start)
    return one


def _of_run(adapted: Adapted, config: Config) -> Learner:
    config = replace(config, device="cpu")
    if config.execution == "captured":
        config = replace(config, execution="auto")
    how, shape = adapted.preparation, tuple(adapted.about["example_shape"])
    if isinstance(adapted, AdaptedRegressor):
        spec = spec_of("regression", shape, adapted.about["outputs"], None, how)
    else:
        ways = len(adapted.classes) if isinstance(how, TablePreparation) else config.n_way
        spec = spec_of("classification", shape, ways, adapted.about["training_classes"], how)
    one = learner_for(config, spec)
    one.config = config
    measured = adapted.about.get("half_widths")
    one.half_widths = measured and {int(rows): width for rows, width in measured.items()}
    held = adapted.about.get("coverage")
    one.coverage = held and {int(rows): float(share) for rows, share in held.items()}
    return one
