"""From a config to its network, for examples of any shape."""

from __future__ import annotations

from pkgutil import resolve_name

from torch import nn

from fewstep.config.registry import NETWORKS
from fewstep.config.schema import Config
from fewstep.models.context import WithContext


def network(config: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The config's model, untrained.

    Args:
        config: Names the network. Its function takes what this one does, and returns the module,
            the name of the layer that a context vector modulates, and that layer's channels.
        example_shape: Of one example.
        outputs: Numbers to predict for one example.

    Raises:
        InputError: The network does not take such examples.
    """
    build = resolve_name(NETWORKS[config.model].build)
    model, modulated, channels = build(config, example_shape, outputs)
    return WithContext(model, config.context, modulated, channels) if config.context else model
