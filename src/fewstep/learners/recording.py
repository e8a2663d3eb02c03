"""Statistics of the batches that the batch norms of a model are given in one prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewstep.errors import InputError
from fewstep.functional.batch_norm import batch_statistics
from fewstep.runtime.modes import at_least_float32

ByLayer = dict[str, tuple[Tensor, Tensor]]
"""Mean and variance of each batch norm, by its name."""


class CalledTwiceError(InputError):
    """A batch norm that would have to keep two statistics."""


@contextmanager
def recorded_statistics(layers: Mapping[str, _BatchNorm]) -> Iterator[ByLayer]:
    """Record the statistics of what these batch norms are called with inside, without a graph.

    Raises:
        CalledTwiceError: One is called twice.
    """
    found: ByLayer = {}
    hooks = [
        layer.register_forward_pre_hook(_recorder(found, name)) for name, layer in layers.items()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _recorder(found: ByLayer, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if name in found:
            raise CalledTwiceError(
                f"batch norm {name!r} is called more than once in one prediction, and can keep "
                "only one of its statistics; use a layer for each call, or "
                'norm="transductive" without per_step_statistics'
            )
        found[name] = batch_statistics(at_least_float32(inputs[0].detach()))

    return record
