"""Words for an error that a model raises for examples: whose it is, and what to do."""

import traceback
from pathlib import Path

import torch
from torch import Tensor, nn

from fewstep.tasks import Inputs, tensors_of


def is_of_the_model(error: BaseException) -> bool:
    """Whether an error comes from the user's code, and not from a layer of PyTorch or from here."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    file = Path(frame.f_code.co_filename)
    others = Path(torch.__file__).parent, Path(__file__).parents[1]
    return not any(file.is_relative_to(folder) for folder in others)


def cure(error: BaseException, model: nn.Module, x: Inputs) -> str:
    """Advice, where it can be guessed from the examples."""
    tensors = tensors_of(x)
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    for tensor in tensors:
        if tensor.dtype is torch.uint8:
            return "; pictures of bytes have to become numbers: x.float() / 255"
        if tensor.is_floating_point() and tensor.dtype != own:
            return f"; the model's parameters are {own}: give x.to({own})"
        if "dtype" in str(error) and not tensor.is_floating_point():
            return f"; examples are integers and the model's parameters {own}: give x.to({own})"
        pictures = tensor.dim() == 4 and any(isinstance(m, nn.Conv2d) for m in model.modules())
        if pictures and tensor.shape[-1] in (1, 3, 4) and tensor.shape[1] not in (1, 3, 4):
            return "; pictures come with the channels first: x.permute(0, 1, 4, 2, 3)"
    if isinstance(x, Tensor) and "missing" in str(error):
        return "; several inputs are given as a tuple or as a dict of tensors"
    return ""


def told(x: Inputs) -> str:
    """The shapes and types of inputs, in words."""
    return ", ".join(f"shape {list(t.shape)}, {t.dtype}" for t in tensors_of(x))
