"""Networks of timm and torchvision, by name, with a new last layer."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from fewstep.config.schema import Config
from fewstep.errors import InputError, first_line
from fewstep.models.sizes import side_of

# Mean and standard deviation of ImageNet's pictures, channel by channel.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Standardised(nn.Module):
    """A network for pictures from 0 to 1 that itself expects standardised ones.

    Args:
        model: The network.
        mean: Of each channel, or of red, green and blue for any channels.
        std: Standard deviations, likewise.
        channels: Of the pictures.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: nn.Module, mean: Sequence[float], std: Sequence[float], channels: int
    ) -> None:
        super().__init__()
        self.model = model
        for name, values in (("mean", mean), ("std", std)):
            row = torch.tensor(values, dtype=torch.float32)
            row = row if len(row) == channels else row.mean().repeat(channels)
            self.register_buffer(name, row[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Any:
        """Predict for ``[examples, channels, height, width]``."""
        return self.model((x - self.mean) / self.std)


def from_config(config: Config, example_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The network that a config names, as ``timm/resnet10t`` or ``torchvision/resnet18``.

    Raises:
        InputError: The package is missing or has no such network, its weights cannot be downloaded,
            or the network does not take such pictures.
    """
    side_of(example_shape)
    package, _, name = config.model.partition("/")
    make = {"timm": _of_timm, "torchvision": _of_torchvision}[package]
    model = make(_package(package), name, config.pretrained, example_shape, outputs)
    _check_prediction(config.model, model, example_shape, outputs)
    return model


def _of_timm(
    timm: Any, name: str, pretrained: bool, example_shape: tuple[int, ...], outputs: int
) -> nn.Module:
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    channels, size, _ = example_shape
    settings = {"pretrained": pretrained, "in_chans": channels, "num_classes": outputs}
    with _loading(f"timm/{name}", pretrained):
        try:
            model = timm.create_model(name, **settings, img_size=size)
        except TypeError:
            # It has no such setting, and takes pictures of any size.
            model = timm.create_model(name, **settings)
    told = model.pretrained_cfg
    return Standardised(model, told["mean"], told["std"], channels)


def _of_torchvision(
    torchvision: Any, name: str, pretrained: bool, example_shape: tuple[int, ...], outputs: int
) -> nn.Module:
    models = torchvision.models
    known = models.list_models(module=models)
    if name not in known:
        raise _unknown("torchvision", name, known)
    channels = example_shape[0]
    if channels != 3:
        raise InputError(
            f"model torchvision/{name} with pictures of {channels} channels; it takes 3: choose a "
            "network of timm, which takes any number"
        )
    model = models.get_model(name, weights=None, num_classes=outputs)
    if pretrained:
        with _loading(f"torchvision/{name}", pretrained):
            weights = models.get_model(name, weights="DEFAULT").state_dict()
        own = model.state_dict()
        # The last layer alone has another shape, and what only training needs is not there.
        same = {n: v for n, v in weights.items() if n in own and v.shape == own[n].shape}
        model.load_state_dict({**own, **same})
    return Standardised(model, *IMAGENET, channels)


@contextmanager
def _loading(model: str, pretrained: bool) -> Iterator[None]:
    """Tell in one line what keeps a network's weights from being there."""
    try:
        yield
    # Errors of several libraries: of the network, the disk, the hub, the checksum.
    except Exception as error:
        if not pretrained:
            raise
        raise InputError(
            f"cannot load the pretrained weights of {model} ({first_line(error)}); where there is "
            "no network, leave --pretrained out"
        ) from error


def _package(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise InputError(
            f"a network of {package} needs the package {package}, which is not installed: "
            "pip install fewstep[backbones]"
        ) from error
    # A build of torchvision for another build of torch fails in several ways.
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        raise InputError(
            f"{package} cannot be imported ({first_line(error)}); install torchvision of the "
            "version and the build (cpu or cuda) that belong to torch "
            f"{torch.__version__}"
        ) from error


def _unknown(package: str, name: str, known: Sequence[str]) -> InputError:
    close = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"did you mean {package}/{close[0]}?" if close else f"its list_models() names {len(known)}"
    )
    return InputError(f"{package} has no network {name!r} that classifies pictures; {hint}")


def _check_prediction(
    name: str, model: nn.Module, example_shape: tuple[int, ...], outputs: int
) -> None:
    """See that the network predicts so many outputs for such pictures."""
    was_training = model.training
    try:
        with torch.no_grad():
            found = model.eval()(torch.zeros(2, *example_shape))
    # Networks check the size of a picture in ways of their own, or not at all.
    except Exception as error:
        raise InputError(
            f"model {name} does not take pictures of {list(example_shape)} ({first_line(error)}); "
            "choose another network or another size of the pictures"
        ) from error
    model.train(was_training)
    if not isinstance(found, Tensor) or found.shape != (2, outputs):
        told = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"model {name} predicts {told} for 2 pictures; expected [2, {outputs}]: choose a "
            "network that classifies pictures"
        )
