"""What one task is: its support loss and its judgement, as pure functions of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor, nn

from fewstep.compilation import CompiledFunctions
from fewstep.functional import Norm, Params, inductive_call, pure_call, trainable
from fewstep.kernels.fuse import fused
from fewstep.learners.checks import Loss, scalar
from fewstep.learners.scoring import ignored_label, score
from fewstep.precision import Precision, autocast
from fewstep.problem import Problem

Predict = Callable[[Params, Tensor, Tensor], tuple[Any, ...]]
"""(parameters, support_x, query_x) to the prediction for query_x, and perhaps its statistics."""
Judge = Callable[[Params, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""The ``judge`` of a `Problem`."""


def problem_of(
    model: nn.Module,
    loss: Loss,
    norm: Norm,
    precision: Precision,
    functions: CompiledFunctions | None = None,
) -> Problem:
    """To adapt a model, of which all parameters that require a gradient are meta-learned.

    Args:
        model: Any module.
        loss: Of (prediction, target).
        norm: Whose statistics batch norm uses when the query set is judged.
        precision: Of the model's own computation.
        functions: To compile parts of the model with, if any.
    """
    # Not made where everything is compiled as a whole.
    for_support = cache(lambda: fused(model, functions, again=True))
    for_query = cache(lambda: fused(model, functions))

    def support_loss(params: Params, x: Tensor, y: Tensor) -> Tensor:
        with autocast(precision, x.device):
            return scalar(loss(pure_call(for_support(), params, x), y))

    def predict(params: Params, support_x: Tensor, query_x: Tensor) -> tuple[Any, ...]:
        if norm == "inductive":
            return (inductive_call(model, params, support_x, query_x),)
        return (pure_call(for_query(), params, query_x),)

    learned = trainable(model)
    return Problem(support_loss, judge_of(predict, loss, precision), learned, learned=learned)


def judge_of(predict: Predict, loss: Loss, precision: Precision) -> Judge:
    """The query loss, the score, and the statistics where ``predict`` returns them."""
    ignored = ignored_label(loss)

    def judge(
        params: Params, support_x: Tensor, query_x: Tensor, query_y: Tensor
    ) -> tuple[Tensor, ...]:
        with autocast(precision, query_x.device):
            prediction, *statistics = predict(params, support_x, query_x)
            value = scalar(loss(prediction, query_y))
        return value, score(prediction, query_y, value, ignored), *statistics

    return judge
