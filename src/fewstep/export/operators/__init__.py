"""Operations of PyTorch as operators of ONNX, by kind (internal)."""

from fewstep.export.operators import layers, pointwise, reductions, shapes

__all__ = ["layers", "pointwise", "reductions", "shapes"]
