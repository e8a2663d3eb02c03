"""A module as a pure function of its tensors, exact when it is differentiated twice.

For inner loops of your own: `functional_call` is `torch.func.functional_call` with right second
derivatives, and the checks refuse what cannot have any.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewstep.functional.call import PureModel, functional_call, trainable
    from fewstep.functional.guards import check_layers, check_second_derivative
    from fewstep.functional.swapped import Params

__all__ = [
    "Params",  # {name: tensor}
    "PureModel",  # a model to be called often with tensors from outside
    "check_layers",  # refuses layers that cannot be differentiated twice through other parameters
    "check_second_derivative",  # refuses gradients that cannot be differentiated
    "functional_call",  # calls a model with other tensors
    "trainable",  # {name: parameter} of those that require a gradient
]

_MODULES = {
    "Params": "swapped",
    "PureModel": "call",
    "check_layers": "guards",
    "check_second_derivative": "guards",
    "functional_call": "call",
    "trainable": "call",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: PyTorch takes seconds to import.
    if name in _MODULES:
        return getattr(import_module(f"fewstep.functional.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'fewstep.functional' has no attribute {name!r}")
