"""Meta-parameters beside the model's: step sizes, and batch norm of each step."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewstep.choices import StepSizes
from fewstep.errors import InputError
from fewstep.functional.batch_norm import batch_statistics
from fewstep.functional.layer_modes import in_training
from fewstep.functional.swapped import Params
from fewstep.learners.names import ParameterTree
from fewstep.metagrad.inner_loop import INNER_LR, PER_STEP
from fewstep.runtime.modes import at_least_float32

STATISTICS = ("running_mean", "running_var")
STATISTICS_MOMENTUM = 0.1
"""The share of each outer step in the running statistics, as in ``nn.BatchNorm2d``."""


def move_statistics(running: Mapping[str, Tensor], recorded: Params) -> None:
    """Move running statistics towards those of a meta-batch."""
    with torch.no_grad():
        for name, value in recorded.items():
            running[name].lerp_(value, STATISTICS_MOMENTUM)


def learned_step_sizes(
    kind: StepSizes, adapting: Mapping[str, Tensor], lr: float, steps: int
) -> ParameterTree:
    """Learned step sizes of the parameters that adapt, all of them ``lr`` at first.

    ``"per-step"`` are ``[steps]`` for each parameter (MAML++, section 4.5), ``"per-element"`` of
    its shape (Meta-SGD, equation 1).
    """
    shapes = {n: (steps,) if kind == "per-step" else v.shape for n, v in adapting.items()}
    return ParameterTree(
        {name: nn.Parameter(adapting[name].new_full(shape, lr)) for name, shape in shapes.items()}
    )


def check_step_sizes(
    kind: StepSizes, sizes: Mapping[str, Tensor], adapting: Iterable[str], steps: int
) -> None:
    """See that each parameter that adapts has a step size for each inner step, still."""
    late = [name for name in adapting if kind != "fixed" and INNER_LR + name not in sizes]
    if late:
        raise InputError(
            f"parameter {late[0]!r} requires a gradient only since the learner was made, and has "
            "no step sizes; make a new learner"
        )
    learned = min(map(len, sizes.values())) if kind == "per-step" else steps
    if steps > learned:
        raise InputError(
            f"inner_steps is {steps}, and step sizes were made for {learned}; make a new learner"
        )


def per_step_affine(model: nn.Module, steps: int) -> ParameterTree:
    """Scale and shift of each batch norm, for 0, 1, ..., steps inner steps (MAML++, 4.4)."""
    return ParameterTree(
        {
            f"{layer}.{name}": nn.Parameter(value.detach().repeat(steps + 1, 1))
            for layer, part in _batch_norms(model).items()
            for name, value in part.named_parameters(recurse=False)
            if value.requires_grad
        }
    )


def per_step_statistics(model: nn.Module, steps: int) -> ParameterTree:
    """Running statistics of each batch norm, for 0, 1, ..., steps inner steps.

    They are recorded, not learned, and so require no gradient.
    """
    rows = {
        f"{layer}.{name}": nn.Parameter(part.get_buffer(name).repeat(steps + 1, 1), False)
        for layer, part in _batch_norms(model).items()
        for name in STATISTICS
    }
    return ParameterTree(rows, learned=False)


def _batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The batch norms in training mode, by name; `InputError` where none learns and records."""
    found = {
        name: part
        for name, part in model.named_modules()
        if isinstance(part, _BatchNorm) and in_training(part)
    }
    if not found or not all(part.affine and part.track_running_stats for part in found.values()):
        raise InputError(
            "values of batch norm per step need a model with batch norm in training mode that has "
            "weight, bias and running statistics; leave per_step_affine and per_step_statistics out"
        )
    return found


@contextmanager
def recorded_row(model: nn.Module, names: list[str]) -> Iterator[list[Tensor]]:
    """Make one row of the statistics of all batch norms of a model that is called inside.

    The running statistics have ``names``, two a batch norm.
    """
    row: list[Tensor] = []
    with recorded_statistics(_batch_norms(model)) as found:
        yield row
    values = {
        f"{PER_STEP}{layer}.{name}": value
        for layer, statistics in found.items()
        for name, value in zip(STATISTICS, statistics, strict=True)
    }
    row.append(torch.cat([values[name] for name in names]))


ByLayer = dict[str, tuple[Tensor, Tensor]]
"""Mean and variance of each batch norm, by its name."""


class CalledTwiceError(InputError):
    """A batch norm that would have to keep two statistics."""


@contextmanager
def recorded_statistics(layers: Mapping[str, _BatchNorm]) -> Iterator[ByLayer]:
    """Record the statistics of what these batch norms are called with inside, without a graph."""
    found: ByLayer = {}
    hooks = [
        layer.register_forward_pre_hook(partial(_record, found, name))
        for name, layer in layers.items()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _record(found: ByLayer, name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    if name in found:
        raise CalledTwiceError(
            f"batch norm {name!r} is called more than once in one prediction, and can keep only "
            "one of its statistics; use a layer for each call, or "
            'norm="transductive" without per_step_statistics'
        )
    found[name] = batch_statistics(at_least_float32(inputs[0].detach()))


def named_statistics(statistics: Mapping[str, Tensor], rows: Tensor) -> Params:
    """``[steps + 1, ...]``, with columns as `recorded_row` orders them, by name."""
    sizes = [value.shape[-1] for value in statistics.values()]
    return dict(zip(statistics, torch.split(rows, sizes, 1), strict=True))
