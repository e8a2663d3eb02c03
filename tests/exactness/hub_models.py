"""Small random models of transformers and peft; nothing is downloaded."""

from collections.abc import Callable

from torch import nn

from tests.exactness.user_modules import CLASSES
from tests.vision import import_torchvision

TOKENS = 11
"""How many there are; 0 stands for none."""


class Logits(nn.Module):
    """The logits alone of what a model of transformers returns."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, *inputs, **named):
        return self.body(*inputs, **named).logits


def hugging_face(name: str, task: str, **settings) -> nn.Module:
    """A model of transformers; imported here alone, since that takes seconds."""
    import_torchvision()
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


def lora() -> nn.Module:
    import peft

    config = peft.LoraConfig(
        task_type="SEQ_CLS", r=2, target_modules=["query", "value"], lora_dropout=0.0
    )
    return Logits(peft.get_peft_model(bert(), config))


def vit(attention: str) -> nn.Module:
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


def resnet(activation: str) -> nn.Module:
    return _images(
        "ResNet",
        embedding_size=6,
        hidden_sizes=[6, 8],
        depths=[1, 1],
        layer_type="basic",
        hidden_act=activation,
    )


def mobilenet(activation: str) -> nn.Module:
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


def convnext() -> nn.Module:
    return _images(
        "ConvNextV2", image_size=16, patch_size=2, num_stages=2, hidden_sizes=[6, 8], depths=[1, 1]
    )


def levit() -> nn.Module:
    return _images(
        "Levit",
        image_size=64,
        patch_size=16,
        hidden_sizes=[16, 16, 16],
        num_attention_heads=[1, 2, 2],
        depths=[1, 1, 1],
        key_dim=[4, 4, 4],
    )


def efficientnet() -> nn.Module:
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


def gpt2() -> nn.Module:
    dropouts = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    size = {"n_positions": 6, "n_embd": 8, "n_layer": 1, "n_head": 2}
    settings = {**_DECODER, **dropouts, **size, "use_cache": False}
    return Logits(
        hugging_face("GPT2", "SequenceClassification", attn_implementation="eager", **settings)
    )


def llama() -> nn.Module:
    size = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 6}
    settings = {**_DECODER, **size, **heads, "use_cache": False}
    return Logits(hugging_face("Llama", "SequenceClassification", **settings))


def double_llama() -> nn.Module:
    model = llama()
    return exchanged(model, {type(model.body.model.norm): lambda: nn.RMSNorm(8, eps=1e-6)})


def wav2vec2() -> nn.Module:
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
