"""Small random models of real packages, and what a user's module does besides.

Nothing is downloaded: configurations are made here. Those of torchvision and timm are left out:
their wheels do not load beside PyTorch for CPUs alone (operator torchvision::nms does not exist).
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fewstep import MAML, TaskBatch

from . import user_modules as own
from .user_modules import CLASSES

STEPS = 2
TOKENS = 11


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
                numbers = torch.randint(1, TOKENS, shape, generator=generator)
                mask = torch.rand(shape, generator=generator).argsort(-1).cumsum(-1) < 9
                named = {"input_ids": numbers, "attention_mask": mask.long()}
                return named if self.masked else numbers
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        def targets(examples):
            if self.loss is F.mse_loss:
                shape = (2, examples, CLASSES)
                return torch.randn(shape, generator=generator, dtype=torch.float64)
            return torch.arange(examples).remainder(CLASSES).repeat(2, 1)

        return TaskBatch(inputs(4), targets(4), inputs(5), targets(5))

    def learner(self, model: nn.Module, **settings) -> MAML:
        return MAML(model, self.lr, STEPS, **{"loss": self.loss, **settings})


class Logits(nn.Module):
    """The logits alone of what a model of transformers returns."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, *inputs, **named):
        return self.body(*inputs, **named).logits


def output_loss(output, targets: Tensor) -> Tensor:
    """A loss that takes what a model of transformers returns, as it is."""
    return F.cross_entropy(output.logits, targets)


def hugging_face(name: str, task: str, **settings) -> nn.Module:
    """A model of transformers; imported here alone, since that takes seconds."""
    import transformers

    config = getattr(transformers, f"{name}Config")(num_labels=CLASSES, **settings)
    return getattr(transformers, f"{name}For{task}")(config)


def _images(name: str, **settings) -> nn.Module:
    return Logits(hugging_face(name, "ImageClassification", **settings))


def bert(attention: str = "eager") -> nn.Module:
    """A BERT of one layer."""
    return hugging_face(
        "Bert",
        "SequenceClassification",
        vocab_size=TOKENS,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=6,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation=attention,
    )


def _lora() -> nn.Module:
    import peft

    config = peft.LoraConfig(
        task_type="SEQ_CLS", r=2, target_modules=["query", "value"], lora_dropout=0.0
    )
    return Logits(peft.get_peft_model(bert(), config))


def _vit(attention: str) -> nn.Module:
    return _images(
        "ViT",
        image_size=8,
        patch_size=4,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation=attention,
    )


def _resnet(activation: str) -> nn.Module:
    return _images(
        "ResNet",
        embedding_size=6,
        hidden_sizes=[6, 8],
        depths=[1, 1],
        layer_type="basic",
        hidden_act=activation,
    )


def _mobilenet(activation: str) -> nn.Module:
    model = _images(
        "MobileNetV2",
        depth_multiplier=0.1,
        finegrained_output=False,
        output_stride=8,
        hidden_act=activation,
        classifier_dropout_prob=0.0,
    )
    # Its depth is no setting. These five blocks of sixteen fit one another.
    blocks = model.body.mobilenet_v2.layer
    model.body.mobilenet_v2.layer = nn.ModuleList(blocks[number] for number in (0, 1, 2, 9, 15))
    return model


def _convnext() -> nn.Module:
    return _images(
        "ConvNextV2", image_size=16, patch_size=2, num_stages=2, hidden_sizes=[6, 8], depths=[1, 1]
    )


def _levit() -> nn.Module:
    return _images(
        "Levit",
        image_size=64,
        patch_size=16,
        hidden_sizes=[16, 16, 16],
        num_attention_heads=[1, 2, 2],
        depths=[1, 1, 1],
        key_dim=[4, 4, 4],
    )


def _efficientnet() -> nn.Module:
    return _images(
        "EfficientNet",
        image_size=16,
        width_coefficient=0.25,
        depth_coefficient=1.0,
        kernel_sizes=[3, 5],
        in_channels=[32, 32],
        out_channels=[32, 32],
        strides=[1, 2],
        num_block_repeats=[1, 2],
        expand_ratios=[1, 2],
        hidden_dim=320,
        dropout_rate=0.0,
        drop_connect_rate=0.0,
    )


_DECODER = {"vocab_size": TOKENS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def _gpt2() -> nn.Module:
    dropouts = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    size = {"n_positions": 6, "n_embd": 8, "n_layer": 1, "n_head": 2}
    settings = {**_DECODER, **dropouts, **size, "use_cache": False}
    return Logits(
        hugging_face("GPT2", "SequenceClassification", attn_implementation="eager", **settings)
    )


def _llama() -> nn.Module:
    size = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 6}
    settings = {**_DECODER, **size, **heads, "use_cache": False}
    return Logits(hugging_face("Llama", "SequenceClassification", **settings))


def _double_llama() -> nn.Module:
    model = _llama()
    return exchanged(model, {type(model.body.model.norm): lambda: nn.RMSNorm(8, eps=1e-6)})


def _wav2vec2() -> nn.Module:
    names = ("hidden", "activation", "attention", "final")
    return Logits(
        hugging_face(
            "Wav2Vec2",
            "SequenceClassification",
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=12,
            conv_dim=(8, 8),
            conv_stride=(3, 2),
            conv_kernel=(4, 3),
            num_conv_pos_embeddings=4,
            num_conv_pos_embedding_groups=2,
            classifier_proj_size=6,
            apply_spec_augment=False,
            layerdrop=0.0,
            attn_implementation="eager",
            **{f"{name}_dropout": 0.0 for name in names},
        )
    )


def exchanged(model: nn.Module, layers: dict[type[nn.Module], Callable[[], nn.Module]]):
    """The same model with other layers in the place of some."""
    for part in model.modules():
        for name, child in part.named_children():
            if type(child) in layers:
                setattr(part, name, layers[type(child)]())
    return model


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
        partial(_resnet, "relu"),
        lambda: exchanged(_resnet("silu"), {nn.MaxPool2d: _average}),
    ),
    RealModel("vit-eager", (3, 8, 8), partial(_vit, "eager"), partial(_vit, "sdpa")),
    RealModel("vit-sdpa", (3, 8, 8), partial(_vit, "sdpa")),
    RealModel("convnextv2", _PICTURE, _convnext),
    RealModel(
        "mobilenetv2",
        _PICTURE,
        partial(_mobilenet, "relu6"),
        partial(_mobilenet, "silu"),
        lr=0.0005,
    ),
    RealModel(
        "levit",
        (3, 64, 64),
        _levit,
        lambda: exchanged(_levit(), {nn.Hardswish: nn.SiLU}),
        lr=0.00005,
    ),
    RealModel("efficientnet", _PICTURE, _efficientnet),
    RealModel(
        "squeeze-and-excite",
        _SMALL,
        lambda: own.SqueezeAndExcite(nn.Hardswish, nn.Hardsigmoid),
        lambda: own.SqueezeAndExcite(nn.SiLU, nn.Sigmoid),
    ),
    RealModel("bert-eager", _TOKENS, lambda: Logits(bert()), **_tokens),
    RealModel("bert-sdpa", _TOKENS, lambda: Logits(bert("sdpa")), **_tokens),
    RealModel("gpt2", _TOKENS, _gpt2, **_tokens, **_loop_only),
    RealModel("llama", _TOKENS, _llama, _double_llama, **_tokens),
    RealModel("lora-bert", _TOKENS, _lora, **_tokens),
    RealModel("wav2vec2", (32,), _wav2vec2, **_loop_only),
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
    RealModel("lstm", _TOKENS, lambda: own.Tagger(nn.LSTM), **_loop_only, **_tokens),
    RealModel("gru", _TOKENS, lambda: own.Tagger(nn.GRU), **_loop_only, **_tokens),
)

OUTPUTS = (
    RealModel("vit-output", (3, 8, 8), lambda: _vit("sdpa").body, loss=output_loss),
    RealModel("bert-named", _TOKENS, lambda: Logits(bert()), tokens=True, masked=True),
    RealModel("bert-named-output", _TOKENS, bert, loss=output_loss, tokens=True, masked=True),
)
"""Models that are called by names, or whose loss takes more than a tensor."""
