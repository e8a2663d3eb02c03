"""Operations of PyTorch as operators of ONNX, by kind (internal)."""

from fewstep.export.operators import (  # noqa: F401
    fillings,
    indices,
    layers,
    pointwise,
    reductions,
    shapes,
)
from fewstep.export.writer import HANDLERS

__all__ = ["HANDLERS"]  # with all that these modules enter
