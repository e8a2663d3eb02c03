"""Predictions of an adapted network for any number of examples, in bounded memory."""

from typing import Any

import torch
from torch import Tensor, nn

from fewstep.errors import InputError, first_line, let_out_of_memory_through
from fewstep.predictors.forms import Form


def outputs(module: nn.Module, form: Form, x: Any, *, together: bool = False) -> Tensor:
    """The network's output for each example, float64 on the CPU.

    Args:
        module: An adapted network.
        form: Of its examples.
        x: The examples, of any kind that ``form`` takes.
        together: In one batch: a transductive network's prediction depends on it.

    Raises:
        InputError: The examples do not fit.
    """
    device = device_of(module)
    batches = [form.tensor(x)] if together else form.batches(x)
    return torch.cat([_output(module, batch.to(device)) for batch in batches])


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's parameters."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def dtype_of(module: nn.Module) -> torch.dtype:
    """The type of a module's numbers."""
    floats = (p.dtype for p in module.parameters() if p.is_floating_point())
    return next(floats, torch.float32)


def _output(module: nn.Module, batch: Tensor) -> Tensor:
    # Some models take derivatives when they predict, and cannot without gradients.
    for with_gradients in (False, True):
        try:
            with torch.set_grad_enabled(with_gradients):
                found = module(batch)
        except RuntimeError as error:
            let_out_of_memory_through(error)
            if with_gradients:
                raise InputError(
                    f"the network does not take examples of {list(batch.shape[1:])} "
                    f"({first_line(error)})"
                ) from error
            continue
        if not isinstance(found, Tensor):
            raise InputError(
                f"the network returns a {type(found).__name__}; expected one that returns a tensor"
            )
        return found.detach().double().cpu()
    raise AssertionError
