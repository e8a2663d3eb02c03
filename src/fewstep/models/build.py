"""From a config to its network, for examples of any shape."""

from pkgutil import resolve_name

from torch import nn

from fewstep.config.schema import Config
from fewstep.errors import InputError
from fewstep.models.context import WithContext


def network(config: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The config's model, untrained, that predicts some outputs for examples of a shape."""
    entry = config.network
    dims = ["channels", "height", "width"] if entry.examples == "pictures" else ["features"]
    if len(example_shape) != len(dims):
        raise InputError(
            f"model {config.model} with examples of {list(example_shape)}; expected "
            f"{entry.examples}, [{', '.join(dims)}]"
        )
    model: nn.Module = resolve_name(entry.build)(config, example_shape, outputs)
    if not config.context:
        return model
    channels = len(next(model.get_submodule(entry.modulated).parameters()))
    return WithContext(model, config.context, entry.modulated, channels)
