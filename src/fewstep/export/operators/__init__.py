"""Operations of PyTorch as operators of ONNX, by kind (internal)."""

from fewstep.export.operators import layers, pointwise, reductions, shapes  # noqa: F401
from fewstep.export.writer import HANDLERS

__all__ = ["HANDLERS"]  # with all that these modules enter
