"""From a config to its network, for examples of any shape."""

from collections.abc import Sequence
from inspect import signature
from pkgutil import resolve_name

from torch import nn

from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.models.context import WithContext

DIMS = {
    "pictures": ("channels", "height", "width"),
    "rows": ("features",),
    "series": ("window", "features"),
}


def network(
    config: Config, example_shape: tuple[int, ...], outputs: int, categories: Sequence[int] = ()
) -> nn.Module:
    """The config's model, untrained, that predicts some outputs for examples of a shape.

    A model that does not know of categories takes their blocks as numbers.
    """
    entry = config.network
    dims = DIMS[entry.examples]
    if len(example_shape) != len(dims):
        raise InputError(
            f"model {config.model} with examples of {list(example_shape)}; expected "
            f"{entry.examples}, [{', '.join(dims)}]"
        )
    build = resolve_name(entry.build)
    known = {"categories": categories} if "categories" in signature(build).parameters else {}
    model: nn.Module = build(config, example_shape, outputs, **known)
    if not config.context:
        return model
    channels = len(next(model.get_submodule(entry.modulated).parameters()))
    return WithContext(model, config.context, entry.modulated, channels)
