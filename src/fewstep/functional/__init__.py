"""A module as a pure function of its tensors, for inner loops of your own.

- `functional_call`: calls a model with other tensors, exact when it is differentiated twice.
- `PureModel`: the same, prepared once for many calls.
- `trainable`: the parameters that require a gradient, by name.
- `check_layers`: refuses layers that would be silently wrong.
- `check_second_derivative`: refuses gradients that cannot be differentiated.
"""

from fewstep.functional.call import PureModel, functional_call, trainable
from fewstep.functional.guards import check_layers, check_second_derivative

__all__ = ["PureModel", "check_layers", "check_second_derivative", "functional_call", "trainable"]


def __dir__() -> list[str]:
    return __all__
