"""A meta-gradient beside central differences, for whoever wants to see that it is right."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from fewstep.errors import InputError
from fewstep.functional.swapped import Params
from fewstep.learners.base import Learner
from fewstep.learners.is_learner import check_learner
from fewstep.learners.reptile import Reptile
from fewstep.runtime.modes import exclusive
from fewstep.runtime.rng import preserve_rng_state
from fewstep.tasks import TaskBatch
from fewstep.whole_numbers import check_whole

Verdict = Literal["exact", "kink", "wrong"]

TOLERANCE = {torch.float64: 1e-6, torch.float32: 5e-2}  # relative, of exact gradients
FLOOR = 1e-5  # the share of the steepest parameter's slope below which a slope counts as zero


class ParameterCheck(NamedTuple):
    """How far one parameter's gradient is from measured slopes.

    Attributes:
        deviation: The largest over the directions, relative to the steepest of the parameter.
        spread: How far the loss is from smooth, likewise: the largest difference of the slopes of
            the two step sizes, or, if that is more, of those ahead and behind where it does not
            fall with the step.
        verdict: ``"exact"`` where the deviation is rounding; ``"kink"`` where the loss is not
            smooth here; else ``"wrong"``.
    """

    deviation: float
    spread: float
    verdict: Verdict


@dataclass(frozen=True)
class GradientReport:
    """How far a meta-gradient is from central differences.

    Attributes:
        parameters: By name.
        tolerance: The deviation up to which a gradient counts as exact.

    >>> import fewstep
    >>> from fewstep.learners.gradient_report import ParameterCheck
    >>> report = fewstep.GradientReport({"weight": ParameterCheck(2e-9, 1e-9, "exact")}, 1e-6)
    >>> report.exact, report.deviation
    (True, 2e-09)
    """

    parameters: dict[str, ParameterCheck]
    tolerance: float

    @property
    def deviation(self) -> float:
        """The largest of all parameters."""
        return max(check.deviation for check in self.parameters.values())

    @property
    def exact(self) -> bool:
        """Whether no parameter's gradient is wrong."""
        return all(check.verdict != "wrong" for check in self.parameters.values())

    def __str__(self) -> str:
        width = max(map(len, self.parameters))
        rows = (
            f"{name:{width}}  {check.verdict:7}  deviation {check.deviation:.1e}"
            f"  between step sizes {check.spread:.1e}"
            for name, check in self.parameters.items()
        )
        blunt = self.tolerance > TOLERANCE[torch.float64]
        advice = "; float32 tells little, float64 much: model.double()" if blunt else ""
        return "\n".join((*rows, f"tolerance {self.tolerance:.0e}{advice}"))


def check_gradient(
    learner: Learner, tasks: TaskBatch, *, directions: int = 2, seed: int = 0
) -> GradientReport:
    """Compare a meta-gradient with central differences of its loss, parameter by parameter.

    Each parameter is moved along random directions by two step sizes, and back. Where the loss is
    smooth both give the same slope, and so does a right gradient; where it has a kink (ReLU,
    max-pooling) they may differ from each other. Have the model and the tasks in float64 for a
    sharp answer. What is made to stop a gradient (``detach``, straight-through estimators, first
    order) is reported as wrong: the gradient is then not that of the loss.

    Args:
        learner: Any learner but `Reptile`. Its parameters are as before afterwards.
        tasks: A meta-batch; two small tasks will do.
        directions: How many for each parameter.
        seed: Of the directions and of random layers.

    Raises:
        InputError: The tasks do not fit, or the learner's outer step follows no gradient.

    >>> import torch, fewstep
    >>> x, y = torch.randn(2, 6, 4).double(), torch.arange(3).repeat(2, 2)
    >>> learner = fewstep.MAML(torch.nn.Linear(4, 3).double(), inner_lr=0.4)
    >>> fewstep.check_gradient(learner, fewstep.TaskBatch(x, y, x, y)).exact
    True
    """
    check_learner(learner)
    if isinstance(learner, Reptile):
        raise InputError(
            "Reptile's outer step follows no gradient of its loss, so there is nothing to compare"
        )
    directions = check_whole("directions", directions, 1)
    seed = check_whole("seed", seed, -math.inf)
    named = {n: p for n, p in learner.named_parameters() if p.requires_grad and p.numel()}
    real = next(iter(named.values())).dtype.to_real()
    size = torch.finfo(real).eps ** (1 / 3)
    with exclusive(), preserve_rng_state():

        def compute() -> tuple[float, Params]:
            torch.manual_seed(seed)
            loss, gradient = learner.meta_gradient(tasks)
            return float(loss), gradient

        here, gradient = compute()
        generator = torch.Generator().manual_seed(seed)

        def row(name: str) -> _Row:
            own = (named[name], gradient[name])
            return _row(*own, size, generator, here, lambda: compute()[0])

        rows = {name: [row(name) for _ in range(directions)] for name in named}
    steepest = max(row.steepest for of_one in rows.values() for row in of_one)
    tolerance = TOLERANCE.get(real, TOLERANCE[torch.float32])
    floor = FLOOR * steepest or 1.0
    return GradientReport({n: _verdict(r, floor, tolerance) for n, r in rows.items()}, tolerance)


class _Row(NamedTuple):
    """The slope by the gradient and by a step and its half; a bend is that ahead minus behind."""

    own: float
    wide: float
    narrow: float
    wide_bend: float
    narrow_bend: float

    @property
    def steepest(self) -> float:
        return max(map(abs, self[:3]))

    @property
    def spread(self) -> float:
        # Of a smooth loss half the step bends half as much.
        sharp = self.narrow_bend > 0.75 * self.wide_bend
        return max(abs(self.wide - self.narrow), self.narrow_bend if sharp else 0.0)


def _row(
    parameter: nn.Parameter,
    gradient: Tensor,
    size: float,
    generator: torch.Generator,
    here: float,
    loss: Callable[[], float],
) -> _Row:
    value = parameter.detach().clone()
    direction = torch.randn(value.shape, generator=generator, dtype=value.dtype).to(value.device)
    direction /= torch.linalg.vector_norm(direction)
    length = size * max(1.0, float(torch.linalg.vector_norm(value)) / value.numel() ** 0.5)

    def measured(step: float) -> tuple[float, float]:
        ahead, behind = (_at(parameter, value + sign * step * direction, loss) for sign in (1, -1))
        return (ahead - behind) / (2 * step), abs(ahead + behind - 2 * here) / step

    own = float((gradient.conj() * direction).sum().real)
    (wide, wide_bend), (narrow, narrow_bend) = measured(length), measured(length / 2)
    return _Row(own, wide, narrow, wide_bend, narrow_bend)


def _at(parameter: nn.Parameter, value: Tensor, loss: Callable[[], float]) -> float:
    """The loss where a parameter has this value."""
    before = parameter.detach().clone()
    try:
        with torch.no_grad():
            parameter.copy_(value)
        return loss()
    finally:
        with torch.no_grad():
            parameter.copy_(before)


def _verdict(rows: list[_Row], floor: float, tolerance: float) -> ParameterCheck:
    scale = max(floor, *(row.steepest for row in rows))
    deviation = max(abs(row.own - row.narrow) for row in rows) / scale
    spread = max(row.spread for row in rows) / scale
    verdict: Verdict = "exact"
    if deviation > tolerance:
        verdict = "kink" if spread > deviation / 10 else "wrong"
    return ParameterCheck(deviation, spread, verdict)
