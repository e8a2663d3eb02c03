"""Modules as users write them: what packages of models do not contain, but papers do."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.factory import mlp

CLASSES = 3


class TemporalConvolution(nn.Module):
    """Causal dilated convolutions with residuals (Bai et al. 2018), each with a normed weight."""

    def __init__(self, normed, activation):
        super().__init__()
        self.layers = nn.ModuleList(
            normed(nn.Conv1d(2 if number == 0 else 6, 6, 3, dilation=2**number))
            for number in range(2)
        )
        self.activation = activation()
        self.shortcut = nn.Conv1d(2, 6, 1)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x):
        out = x
        for layer in self.layers:
            out = self.activation(layer(F.pad(out, (2 * layer.dilation[0], 0))))
        return self.head((out + self.shortcut(x))[..., -1])


class Discriminator(nn.Module):
    """Spectral norm on a convolution and on a linear layer (Miyato et al. 2018)."""

    def __init__(self, normed):
        super().__init__()
        self.first = normed(nn.Conv2d(2, 6, 3, stride=2))
        self.second = normed(nn.Linear(24, 8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = F.silu(self.first(x)).flatten(1)
        return self.head(F.silu(self.second(x)))


class PhysicsInformed(nn.Module):
    """A field u(x) and its gradient by x, as the residual of an equation needs it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        with torch.enable_grad():
            x = x.requires_grad_()
            u = self.head(self.net(x))
            (du,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return torch.cat([u, du * u], -1)


class FeaturesByHooks(nn.Module):
    """A head on features that forward hooks collect inside the body."""

    def __init__(self, activation, pooling):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), activation(), pooling(2),
            nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), activation(), pooling(2),
        )  # fmt: skip
        self.features = {}
        for name in ("0", "1", "3", "7"):
            self.body.get_submodule(name).register_forward_hook(self.keep)
        self.head = nn.Linear(24, CLASSES)

    def keep(self, layer, inputs, output):
        self.features[layer] = output.mean((-2, -1))

    def forward(self, x):
        self.body(x)
        features = torch.cat(list(self.features.values()), 1)
        self.features.clear()
        return self.head(features)


class FeatureByHook(nn.Module):
    """Like `FeaturesByHooks`, with one feature, an attribute that stays."""

    def __init__(self, activation, pooling):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), activation(), pooling(2), nn.Flatten()
        )
        self.body[1].register_forward_hook(self.keep)
        self.feature = None
        self.head = nn.Linear(60, CLASSES)

    def keep(self, layer, inputs, output):
        self.feature = output.mean((-2, -1))

    def forward(self, x):
        return self.head(torch.cat([self.body(x), self.feature], 1))


class ChangedByHooks(nn.Module):
    """Hooks of a sequence that change what goes in and what comes out."""

    def __init__(self, activation, pooling):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), activation(), pooling(2), nn.Flatten()
        )
        self.body[1].register_forward_pre_hook(lambda layer, inputs: (inputs[0] + inputs[0] ** 2,))
        self.body[2].register_forward_hook(lambda layer, inputs, output: 2 * output - inputs[0])
        self.head = nn.Linear(54, CLASSES)

    def forward(self, x):
        return self.head(self.body(x))


class KeptAttention(nn.Module):
    """Attention to a padded series that leaves its weights behind, to be looked at."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.embedding = nn.Embedding(11, 8, padding_idx=0)
        self.head = nn.Linear(8, CLASSES)
        self.weights = None

    def forward(self, tokens):
        x = self.embedding(tokens)
        x, self.weights = self.attention(x, x, x, key_padding_mask=tokens == 0)
        return self.head(F.silu(x).mean(1))


class Tagger(nn.Module):
    """Two recurrent layers in both directions over embedded tokens."""

    def __init__(self, kind):
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.body = kind(5, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, tokens):
        return self.head(self.body(self.embedding(tokens))[0].mean(1))


class SqueezeAndExcite(nn.Module):
    """A block of MobileNetV3 (Howard et al. 2019): hard-swish, gated by a hard-sigmoid."""

    def __init__(self, activation, gate):
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(2, 8, 1, bias=False), nn.BatchNorm2d(8), activation())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.SiLU(), nn.Conv2d(4, 8, 1), gate()
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.norm(self.depthwise(self.expand(x)))
        return self.head((x * self.squeeze(x)).mean((-2, -1)))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.scale = mlp(), 1.0

    def forward(self, x):
        return self.scale * self.net(x)


class Modal(nn.Module):
    """Does in one mode what it does not in the other."""

    def __init__(self, act):
        super().__init__()
        self.net, self.act = mlp(), act

    def forward(self, x):
        return self.net(self.act(x) if self.training else x)
