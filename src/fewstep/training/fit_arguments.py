"""Arguments of `fewstep.fit`: checked, and made what the outer loop takes."""

import numbers
from typing import Any

from torch.optim import LBFGS, Optimizer, SparseAdam

from fewstep.errors import InputError
from fewstep.evaluation.task_sets import TaskSet, task_batches
from fewstep.functional.layer_modes import is_compiled
from fewstep.learners.base import Evaluation, Learner
from fewstep.learners.checks import check_learns
from fewstep.learners.is_learner import check_learner
from fewstep.training.optimizer import adam
from fewstep.whole_numbers import as_whole, check_whole


def check_fit(
    learner: Any, counts: dict[str, int], patience: Any, ema_decay: Any, validation: object
) -> dict[str, Any]:
    """See that what `fit` is given is in range; returns the numbers as Python's own."""
    check_learner(learner)
    if is_compiled(learner):
        raise InputError(
            "learner is wrapped by torch.compile, which renames its parameters; give the learner "
            "itself, and compile=True to compile what can be"
        )
    check_learns(learner)
    checked = {name: check_whole(name, value, 1) for name, value in counts.items()}
    number = as_whole(patience)
    if number is None or number < 0 or (number and validation is None):
        without = " without validation" if validation is None else ""
        raise InputError(
            f"patience is {patience!r}{without}; expected 0, or more with validation tasks"
        )
    if not isinstance(ema_decay, numbers.Real) or not 0 <= float(ema_decay) < 1:
        raise InputError(f"ema_decay is {ema_decay!r}; expected at least 0 and less than 1")
    return {**checked, "patience": number, "ema_decay": float(ema_decay)}


def check_type(name: str, value: object, kind: Any, expected: str) -> None:
    """See that a setting is of a type."""
    if not isinstance(value, kind):
        raise InputError(f"{name} is {value!r}; expected {expected}")


def optimizer_over(learner: Learner, given: Any) -> Optimizer:
    """The optimiser over a learner's parameters: the one given, made by a function, or Adam."""
    parameters = [parameter for _, parameter in learner.named_parameters()]
    if given is None:
        return adam(parameters, 1e-3)
    made = given if isinstance(given, Optimizer) else given(parameters) if callable(given) else None
    if not isinstance(made, Optimizer):
        raise InputError(
            f"optimizer is {given!r}; expected one of torch.optim, or a function of the parameters "
            "that makes one, as in optimizer=lambda p: torch.optim.SGD(p, lr=0.1)"
        )
    if isinstance(made, LBFGS | SparseAdam) or made.defaults.get("differentiable"):
        raise InputError(
            f"optimizer is {type(made).__name__}, which needs a closure, sparse gradients or a "
            "differentiable step; choose another of torch.optim, such as Adam or SGD"
        )
    ours = {id(parameter) for parameter in parameters}
    if not any(id(p) in ours for group in made.param_groups for p in group["params"]):
        raise InputError(
            "optimizer is over none of the learner's parameters; make it over learner.parameters()"
        )
    return made


def first_metric(found: Evaluation) -> str:
    """The name of the metric by which the best initialisation is kept."""
    first, *others = found.metrics
    clash = {"score", "ci95", "loss"}.intersection(others)
    if clash:
        raise InputError(f"a metric is named {min(clash)!r}, as a figure of fit's own; rename it")
    return first


def larger_is_better_of(metric: str, *sources: Any) -> bool:
    """Whether more of a metric is better, where that is known."""
    for source in sources:
        spec: Any = getattr(source, "spec", None)
        if getattr(spec, "score", None) == metric:
            return bool(spec.larger_is_better)
    if metric not in ("accuracy", "mse", "loss"):
        raise InputError(
            f"the first metric is {metric!r}; say larger_is_better=True or False, by which the "
            "best initialisation is kept"
        )
    return metric == "accuracy"


def of_the_same_size(train: Any, validation: Any) -> TaskSet | None:
    """Training tasks of as many examples as those of validation; None where there are none."""
    if not hasattr(train, "batch"):
        return None
    if hasattr(train, "with_shots") and hasattr(validation, "k_shot"):
        train = train.with_shots(validation.k_shot, validation.q_query)
    ours, theirs = train.batch([0]), next(task_batches(validation, 1))
    same = [t.shape[1] for t in ours.tensors] == [t.shape[1] for t in theirs.tensors]
    return train if same else None
