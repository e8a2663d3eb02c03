"""Networks of the few-shot literature; a learner takes these and any other ``nn.Module``.

- `conv4`: four convolution blocks and a linear layer, for square pictures.
- `resnet12`: four residual blocks and a linear layer, for pictures of any size.
- `mlp`: linear layers with ReLU between them, for rows of numbers.
- `conv1d`: convolutions over time, for series of such rows.
- `lstm`: a long short-term memory, for series.
- `gru`: gated recurrent units, for series.
- `WithContext`: a network that a short vector modulates, for CAVIA.
"""

from fewstep.models.context import WithContext
from fewstep.models.conv4 import conv4
from fewstep.models.mlp import mlp
from fewstep.models.resnet12 import resnet12
from fewstep.models.series import conv1d, gru, lstm

__all__ = ["WithContext", "conv1d", "conv4", "gru", "lstm", "mlp", "resnet12"]


def __dir__() -> list[str]:
    return __all__
