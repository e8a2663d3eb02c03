"""torchvision where its operators cannot be loaded: built for CUDA, beside PyTorch for a CPU."""

import sys
from functools import cache
from importlib.util import find_spec

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_KEPT = []


@cache
def import_torchvision() -> bool:
    """Import it, declaring the two operators that it looks for but its networks do not use.

    False where it is not installed. timm and transformers import it, too.
    """
    if find_spec("torchvision") is None:
        return False
    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        _KEPT.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _KEPT[0].define(name + _SIGNATURE)
        import torchvision  # noqa: F401
    return True
