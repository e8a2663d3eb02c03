"""Networks of the few-shot literature; a learner takes these and any other ``nn.Module``.

- `conv4`: four convolution blocks and a linear layer, for square pictures.
- `mlp`: linear layers with ReLU between them, for rows of numbers.
- `WithContext`: a network that a short vector modulates, for CAVIA.
"""

from fewstep.models.context import WithContext
from fewstep.models.conv4 import conv4
from fewstep.models.mlp import mlp

__all__ = ["WithContext", "conv4", "mlp"]


def __dir__() -> list[str]:
    return __all__
