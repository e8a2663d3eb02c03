"""A task of one number from one number as curves: before and after adaptation, and the target."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from fewstep.choices import Norm
from fewstep.data.source import TaskSpec
from fewstep.evaluation.numbers import shown
from fewstep.learners.base import Learner
from fewstep.learners.divergence import DivergedError
from fewstep.report.page.chart import Axes, Line
from fewstep.report.page.figure import MOST_ROWS, evenly, figure
from fewstep.report.page.html import Html, table
from fewstep.report.page.scale import number
from fewstep.tasks import TaskBatch

PLACES = 80
"""At which the predictions are drawn."""
LEAST_ASKED = 5
"""Query points in the table of numbers."""
Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TaskCurves:
    """A task as curves.

    Attributes:
        number: By which its source makes it again.
        steps: Inner steps of its adaptation.
        support: ``[examples, 2]``, what was learned from: x and y.
        query: ``[examples, 4]``, by x: x, y, and what was predicted before and after adaptation.
        curves: ``[places, 3]``: x, and what is predicted there before and after.
    """

    number: int
    steps: int
    support: Tensor
    query: Tensor
    curves: Tensor

    @property
    def size(self) -> int:
        """Bytes on the page, about."""
        return 30 * (len(self.curves) + len(self.query)) + 8000


def is_a_curve(spec: TaskSpec) -> bool:
    """Whether tasks are functions of one number to one number."""
    return spec.kind == "regression" and spec.example_shape == (1,) and spec.outputs == 1


def task_curves(
    number: int, task: TaskBatch, learner: Learner, steps: int, norm: Norm
) -> TaskCurves:
    """The curves of a task, which is a batch of it alone."""
    support_x, support_y, query_x, query_y = (cast(Tensor, part) for part in task.task(0))
    every = torch.cat([support_x, query_x])
    ends = float(every.min()), float(every.max())
    places = torch.linspace(*ends, PLACES, dtype=every.dtype, device=every.device)[:, None]
    order = query_x[:, 0].argsort()
    given = learner, support_x, support_y
    models = [_adapted(*given, taken, norm) for taken in (0, steps)]
    query = [query_x[order], query_y[order], *_predicted(models, query_x[order])]
    curves = [places, *_predicted(models, places)]
    both = torch.cat([support_x, support_y], 1), torch.cat(query, 1), torch.cat(curves, 1)
    return TaskCurves(number, steps, *(part.cpu() for part in both))


def _adapted(learner: Learner, x: Tensor, y: Tensor, steps: int, norm: Norm) -> Model:
    try:
        return learner.adapt(x, y, steps, norm)
    except DivergedError:
        # Of the worst tasks that is what has to be told.
        return lambda asked: torch.full_like(asked, math.nan)


def _predicted(models: list[Model], x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return [model(x) for model in models]


def curves_figure(
    title: str, one: TaskCurves, metric: str, scores: tuple[float, float], seed: int
) -> Html:
    """The figure of a task; ``scores`` are those before and after adaptation."""
    steps = f"{one.steps} inner {'step' if one.steps == 1 else 'steps'}"
    x, before, after = one.curves.T.tolist()
    target_x, target, *_ = one.query.T.tolist()
    support_x, support_y = one.support.T.tolist()
    lines = [
        Line("target", target_x, target, style=2),
        Line("before adaptation", x, before, style=5),
        Line(f"after {steps}", x, after, style=0),
        Line("learned from", support_x, support_y, style=1, points=True),
    ]
    told = [shown(metric, score) for score in scores]
    protocol = (
        f"{metric} {told[0]} before adaptation and {told[1]} after {steps} on "
        f"{len(one.support)} support points; test task {one.number}, seed {seed} (single tasks "
        "have no interval)"
    )
    axes = Axes("x", "y", zero=False)
    return figure(title, protocol, lines, axes, metric, numbers=_numbers(title, one, steps))


def _numbers(title: str, one: TaskCurves, steps: str) -> Html:
    """Support points, and some of the query points with what was predicted there."""
    learned = evenly(one.support.tolist(), MOST_ROWS - LEAST_ASKED)
    rows = [[number(x), "learned from", number(y), "", ""] for x, y in learned]
    asked = evenly(one.query.tolist(), MOST_ROWS - len(rows))
    rows += [[number(x), "asked", *map(number, values)] for x, *values in asked]
    heading = ["x", "which", "target", "before adaptation", f"after {steps}"]
    return table(f"{title}: support points, and query points by x", heading, rows, class_="numbers")
