"""A module whose tensors have, in state dicts, the names that they have in its parts."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys

from fewstep.errors import InputError


class ParameterTree(nn.Module):
    """Parameters by dotted names; `requires_grad_` reaches those that are ``learned``."""

    def __init__(self, values: Mapping[str, nn.Parameter], learned: bool = True) -> None:
        super().__init__()
        self.learned = learned
        for name, value in values.items():
            *path, last = name.split(".")
            part: nn.Module = self
            for step in path:
                part = part._modules.setdefault(step, nn.Module()) or part
            part._parameters[last] = value

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let them be learned or not, where they are learned at all."""
        return super().requires_grad_(requires_grad) if self.learned else self

    def __repr__(self) -> str:
        return f"{len(list(self.parameters()))} tensors"


class NamedModule(nn.Module):
    """A module whose state, also inside another, has ``0.weight`` and not ``model.0.weight``."""

    _PREFIXES: ClassVar[dict[str, str]] = {}  # by part, how the names of its tensors begin

    def named(self, part: str) -> dict[str, nn.Parameter]:
        """The parameters of a part, if there is one of this name, by the names of the state."""
        module = self._modules.get(part)
        prefix = self._PREFIXES[part]
        return {} if module is None else {prefix + n: p for n, p in module.named_parameters()}

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", **kw: Any) -> Any:
        """All parameters and buffers by name: the model's, and what is learned beside it."""
        own = super().state_dict(*args, prefix=prefix, **kw)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        for name, value in own.items():
            destination[prefix + self._of_state(name.removeprefix(prefix))] = value
        if hasattr(destination, "_metadata"):
            destination._metadata |= own._metadata
        return destination

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Take over a `state_dict`; where it differs, `InputError` and nothing is loaded."""
        own = self.state_dict()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        wrong = [f"lacks {name!r}" for name in missing] if strict else []
        wrong += [f"has {name!r}, which the learner lacks" for name in unexpected] if strict else []
        wrong += [
            f"has {name!r} of shape {list(value.shape)} where the learner's is {list(mine.shape)}"
            for name, mine in own.items()
            if isinstance(value := state_dict.get(name), Tensor) and value.shape != mine.shape
        ]
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise InputError(
                f"the state {', '.join(wrong[:3])}{more}; expected that of a learner with the same "
                "model and settings (strict=False leaves out what does not match by name)"
            )
        super().load_state_dict(state_dict, strict=False, assign=assign)
        return _IncompatibleKeys(missing, unexpected)

    def _of_state(self, name: str) -> str:
        """The name in a state dict of what is called ``part.NAME`` here."""
        part, _, rest = name.partition(".")
        return self._PREFIXES.get(part, f"{part}.") + rest

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # PyTorch calls this first, on a dict of its own, and then looks for the names of parts.
        here = {prefix + self._of_state(n): prefix + n for n in super().state_dict()}
        for name in [n for n in state_dict if n in here]:
            state_dict[here[name]] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *rest)
