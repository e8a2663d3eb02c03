"""The models of real packages and of users whose meta-gradient has to be exact."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fewstep import MAML, TaskBatch
from tests.exactness import hub_models as hub
from tests.exactness import user_modules as own
from tests.exactness.user_modules import CLASSES

STEPS = 2


@dataclass(frozen=True)
class RealModel:
    """A model and the shape of one example of it.

    Attributes:
        build: Makes it.
        smooth: Makes it with SiLU for each kink, average pooling for max pooling, and nothing
            computed in single precision; None where it has none of those.
        lr: The size of an inner step: large enough for its second derivative to matter.
        vectorised: Whether it has to be vectorised over tasks, and may not be refused.
        tokens: Examples are integers.
        masked: Inputs are a dict: those integers, and which of them are there.
    """

    name: str
    shape: tuple[int, ...]
    build: Callable[[], nn.Module]
    smooth: Callable[[], nn.Module] | None = None
    loss: Callable[..., Tensor] = F.cross_entropy
    lr: float = 0.2
    vectorised: bool = True
    tokens: bool = False
    masked: bool = False

    def model(self, smooth: bool = False) -> nn.Module:
        """The same values every time, and none of them where packages begin: at 0 or 1."""
        torch.manual_seed(0)
        with warnings.catch_warnings():
            # Of what packages call deprecated: the old weight norm, and transformers to peft.
            warnings.simplefilter("ignore", FutureWarning)
            model = ((smooth and self.smooth) or self.build)().double().train()
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter.add_(0.2 * noise)
        return model

    def tasks(self) -> TaskBatch:
        """Two tasks of random examples."""
        generator = torch.Generator().manual_seed(2)

        def inputs(examples):
            shape = (2, examples, *self.shape)
            if self.tokens:
                numbers = torch.randint(hub.TOKENS, shape, generator=generator)
                lengths = torch.randint(3, 7, (2, examples, 1), generator=generator)
                mask = (torch.arange(shape[-1]) < lengths).long()
                return {"input_ids": numbers, "attention_mask": mask} if self.masked else numbers
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        def targets(examples):
            if self.loss is F.mse_loss:
                shape = (2, examples, CLASSES)
                return torch.randn(shape, generator=generator, dtype=torch.float64)
            return torch.arange(examples).remainder(CLASSES).repeat(2, 1)

        return TaskBatch(inputs(4), targets(4), inputs(5), targets(5))

    def learner(self, model: nn.Module, **settings) -> MAML:
        return MAML(model, self.lr, STEPS, **{"loss": self.loss, **settings})


def output_loss(output, targets: Tensor) -> Tensor:
    """A loss that takes what a model of transformers returns, as it is."""
    return F.cross_entropy(output.logits, targets)


def _temporal(normed) -> dict[str, Callable[[], nn.Module]]:
    """With ReLU, and smooth."""
    kinds = {"build": nn.ReLU, "smooth": nn.SiLU}
    return {name: partial(own.TemporalConvolution, normed, kind) for name, kind in kinds.items()}


def _hooked(kind: type[nn.Module]) -> dict[str, Callable[[], nn.Module]]:
    """With ReLU and max pooling, and smooth."""
    return {
        "build": partial(kind, nn.ReLU, nn.MaxPool2d),
        "smooth": partial(kind, nn.SiLU, nn.AvgPool2d),
    }


_PICTURE, _SMALL, _TOKENS, _SIGNAL = (3, 16, 16), (2, 8, 8), (6,), (2, 8)
_average = partial(nn.AvgPool2d, kernel_size=3, stride=2, padding=1)
_old_weight_norm, _old_spectral_norm = nn.utils.weight_norm, nn.utils.spectral_norm
_loop_only = {"vectorised": False}
_tokens = {"tokens": True}

MODELS = (
    RealModel(
        "resnet",
        _PICTURE,
        partial(hub.resnet, "relu"),
        lambda: hub.exchanged(hub.resnet("silu"), {nn.MaxPool2d: _average}),
    ),
    RealModel("vit-eager", (3, 8, 8), partial(hub.vit, "eager"), partial(hub.vit, "sdpa")),
    RealModel("vit-sdpa", (3, 8, 8), partial(hub.vit, "sdpa")),
    RealModel("convnextv2", _PICTURE, hub.convnext),
    RealModel(
        "mobilenetv2",
        _PICTURE,
        partial(hub.mobilenet, "relu6"),
        partial(hub.mobilenet, "silu"),
        lr=0.0005,
    ),
    RealModel(
        "levit",
        (3, 64, 64),
        hub.levit,
        lambda: hub.exchanged(hub.levit(), {nn.Hardswish: nn.SiLU}),
        lr=0.00005,
    ),
    RealModel("efficientnet", _PICTURE, hub.efficientnet),
    RealModel(
        "squeeze-and-excite",
        _SMALL,
        lambda: own.SqueezeAndExcite(nn.Hardswish, nn.Hardsigmoid),
        lambda: own.SqueezeAndExcite(nn.SiLU, nn.Sigmoid),
    ),
    RealModel("bert-eager", _TOKENS, lambda: hub.Logits(hub.bert()), **_tokens),
    RealModel("bert-sdpa", _TOKENS, lambda: hub.Logits(hub.bert("sdpa")), **_tokens),
    RealModel("gpt2", _TOKENS, hub.gpt2, **_tokens, **_loop_only),
    RealModel("llama", _TOKENS, hub.llama, hub.double_llama, **_tokens),
    RealModel("lora-bert", _TOKENS, hub.lora, **_tokens),
    RealModel("wav2vec2", (32,), hub.wav2vec2, **_loop_only),
    RealModel("tcn-old-weight-norm", _SIGNAL, **_temporal(_old_weight_norm), **_loop_only),
    RealModel("tcn-weight-norm", _SIGNAL, **_temporal(parametrizations.weight_norm), **_loop_only),
    RealModel(
        "old-spectral-norm", (2, 6, 6), lambda: own.Discriminator(_old_spectral_norm), **_loop_only
    ),
    RealModel(
        "spectral-norm",
        (2, 6, 6),
        lambda: own.Discriminator(parametrizations.spectral_norm),
        **_loop_only,
    ),
    RealModel("physics-informed", (2,), own.PhysicsInformed, loss=F.mse_loss, **_loop_only),
    RealModel("features-by-hooks", _SMALL, **_hooked(own.FeaturesByHooks)),
    RealModel("feature-by-hook", _SMALL, **_hooked(own.FeatureByHook)),
    RealModel("changed-by-hooks", _SMALL, **_hooked(own.ChangedByHooks)),
    RealModel("kept-attention", _TOKENS, own.KeptAttention, **_tokens),
    RealModel("lstm", _TOKENS, lambda: own.Tagger(nn.LSTM), **_tokens),
    RealModel("gru", _TOKENS, lambda: own.Tagger(nn.GRU), **_tokens),
)

OUTPUTS = (
    RealModel("vit-output", (3, 8, 8), lambda: hub.vit("sdpa").body, loss=output_loss),
    RealModel("bert-named", _TOKENS, lambda: hub.Logits(hub.bert()), tokens=True, masked=True),
    RealModel("bert-named-output", _TOKENS, hub.bert, loss=output_loss, tokens=True, masked=True),
)
"""Models that are called by names, or whose loss takes more than a tensor."""
