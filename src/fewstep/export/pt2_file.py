"""Files of ``torch.export``."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fewstep.choices import Norm, What
from fewstep.errors import InputError, first_line
from fewstep.export.program import COUNTS, Operations, Program, operations_of
from fewstep.export.source import Export, export_of
from fewstep.files import write_all_out


def to_pt2(
    source: Any,
    out: str | Path,
    what: What | None = None,
    *,
    x: Any = None,
    y: Any = None,
    norm: Norm = "inductive",
) -> list[Path]:
    """Write the same as `to_onnx` as files that ``torch.export.load`` reads, without fewstep.

    Args:
        source: As in `to_onnx`.
        out: As in `to_onnx`.
        what: As in `to_onnx`.
        x: As in `to_onnx`.
        y: As in `to_onnx`.
        norm: As in `to_onnx`.

    Returns:
        The files. Each takes the tensors that its extra file ``metadata.json`` lists as ``inputs``
        in a dict, and returns a dict; but a prediction of ``x`` alone takes and returns a tensor.

    Raises:
        InputError: As `to_onnx`.

    >>> import tempfile, torch, fewstep
    >>> from fewstep.export import to_pt2
    >>> model = torch.nn.Linear(4, 3)
    >>> x, y = torch.randn(6, 4), torch.arange(6) % 3
    >>> adapted = fewstep.MAML(model, inner_lr=0.1).adapt(x, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (path,) = to_pt2(adapted, f"{folder}/adapted.pt2", x=x)
    ...     found = torch.export.load(path).module()(x)
    >>> torch.allclose(found, adapted(x))
    True
    """
    return write_pt2(export_of(source, what, x, y, norm), Path(out))


def write_pt2(export: Export, out: Path) -> list[Path]:
    """Write the files of an export, all or none."""
    contents = {}
    for name, program in export.programs.items():
        operations = operations_of(program)
        told = {**export.about, "inputs": json.dumps(operations.inputs)}
        contents[export.places(out)[name]] = _content(_exported(program, operations), told)
    write_all_out(contents)
    export.remove_others(out)
    return list(contents)


def _content(exported: torch.export.ExportedProgram, told: dict[str, str]) -> bytes:
    # In memory: where a disk is full, PyTorch's own writer ends the process.
    content = io.BytesIO()
    torch.export.save(exported, content, extra_files={"metadata.json": json.dumps(told)})
    return content.getvalue()


class _OfOne(nn.Module):
    """Operations on one tensor, with one result."""

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self.operations = operations.graph
        self.held = nn.ParameterList(
            [
                nn.Parameter(value, value.is_floating_point())
                for value in operations.constants.values()
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """The result."""
        found: Tensor = self.operations(x, *self.held)[0]
        return found


class _OfNone(_OfOne):
    """Operations on nothing, with results by name."""

    def __init__(self, operations: Operations) -> None:
        super().__init__(operations)
        self.outputs = operations.outputs

    def forward(self) -> dict[str, Tensor]:  # type: ignore[override]
        """The results."""
        return dict(zip(self.outputs, self.operations(*self.held), strict=True))


class _OfSeveral(_OfOne):
    """Operations on tensors by name, with results by name."""

    def __init__(self, operations: Operations) -> None:
        super().__init__(operations)
        self.inputs, self.outputs = operations.inputs, operations.outputs

    def forward(self, state: dict[str, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        """The results."""
        found = self.operations(*(state[name] for name in self.inputs), *self.held)
        return dict(zip(self.outputs, found, strict=True))


def _exported(program: Program, operations: Operations) -> torch.export.ExportedProgram:
    given = program.with_examples(COUNTS[0])
    number = torch.export.Dim("examples", min=1)
    sizes = {n: {0: number} if n in program.by_example else {} for n in operations.inputs}
    inputs = {name: given[name].detach() for name in operations.inputs}
    module: nn.Module
    arguments: tuple[Any, ...]
    dynamic: Any
    if not inputs:
        module, arguments, dynamic = _OfNone(operations), (), None
    elif operations.inputs == ("x",):
        module, arguments, dynamic = _OfOne(operations), (inputs["x"],), (sizes["x"],)
    else:
        module, arguments, dynamic = _OfSeveral(operations), (inputs,), (sizes,)
    try:
        with warnings.catch_warnings():
            # About its own parts.
            warnings.simplefilter("ignore")
            return torch.export.export(module, arguments, dynamic_shapes=dynamic, strict=False)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(f"torch.export refuses the model ({first_line(error)})") from error
