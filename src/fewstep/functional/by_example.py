"""Whether a model treats examples one by one, so that others beside them change nothing.

It is read from the layers and not tried out: a layer may mix examples for some inputs alone, which
no trial is sure to meet.
"""

from collections.abc import Iterable

from torch import nn

from fewstep.functional.structure import has_hooks

TREATS_ALONE = "treats_examples_alone"
"""A class of modules that says so of itself, and of no subclass, is taken at its word."""


def treats_alone(modes: Iterable[tuple[nn.Module, bool]]) -> bool:
    """Return whether each part of a model treats examples one by one.

    So do the layers that are listed here, and what consists of nothing else. A module of any other
    class may mix examples, such as batch norm, and so may one with hooks. Random layers draw other
    numbers where there are more examples.

    Args:
        modes: All parts, and whether each is in training mode.

    >>> linear = nn.Linear(4, 3)
    >>> treats_alone([(linear, True)]), treats_alone([(nn.BatchNorm1d(3), True)])
    (True, False)
    """
    return all(_alone(part, training) for part, training in modes)


def _alone(part: nn.Module, training: bool) -> bool:
    kind = type(part)
    if has_hooks(part) or "forward" in vars(part):
        return False
    if vars(kind).get(TREATS_ALONE) is True:
        return True
    if not kind.forward.__module__.startswith("torch.nn."):  # another one was put in its place
        return False
    if kind in _DROPOUT:
        return not training or getattr(part, "p", 0.5) == 0
    if kind in _RECURRENT:
        return bool(part.batch_first) and not (training and part.dropout)
    if isinstance(part, nn.Flatten):
        return kind is nn.Flatten and part.start_dim >= 1
    if isinstance(part, nn.Unflatten):
        return kind is nn.Unflatten and isinstance(part.dim, int) and part.dim >= 1
    return kind in _LAYERS


_DROPOUT = {nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout}
_RECURRENT = {nn.LSTM, nn.GRU, nn.RNN}
_LAYERS = {
    *(nn.Sequential, nn.Identity, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.LayerNorm, nn.GroupNorm, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Tanhshrink),
    *(nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid),
    # They hold what the module around them computes with.
    *(nn.ParameterDict, nn.ParameterList, nn.ModuleDict, nn.ModuleList),
}
