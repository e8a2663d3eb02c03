"""Files of ONNX."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fewstep.choices import Norm, What
from fewstep.errors import InputError
from fewstep.export.check import check_file
from fewstep.export.program import operations_of
from fewstep.export.source import Export, export_of
from fewstep.files import write_all_out


def to_onnx(
    source: Any,
    out: str | Path,
    what: What | None = None,
    *,
    x: Any = None,
    y: Any = None,
    norm: Norm = "inductive",
    bits: int = 32,
) -> list[Path]:
    """Write an adapted model, a meta-learned one, or adaptation itself as ONNX.

    The graphs hold ordinary operators alone, those of training too: an inner step is the gradient
    written out. They take any number of examples.

    Args:
        source: An adapted model, a module that a learner adapted, or a learner. It is not changed.
        out: The file, which is replaced. Of adaptation there are several, with a word behind the
            name: ``NAME-start.onnx``, ``NAME-step.onnx``, ``NAME-predict.onnx`` and, for batch
            norm, ``NAME-statistics.onnx`` (docs/export.md).
        what: ``"adapted"``, for a learner ``"meta-learned"`` or ``"adaptation"``; of a learner the
            adaptation unless given.
        x: Of a learner, support examples of a task, of any values, and of a module examples: their
            shape and type become those of the file.
        y: Of a learner, their targets; of classes at least one of each.
        norm: Which statistics batch norm uses after adaptation, as in ``learner.adapt``.
        bits: 8 keeps the large weights of the body in 8 bits.

    Returns:
        The files.

    Raises:
        InputError: The model uses an operation that ONNX or fewstep lacks, the examples do not fit,
            or a file cannot be written.

    >>> import tempfile, torch, fewstep
    >>> from fewstep.export import to_onnx
    >>> learner = fewstep.MAML(torch.nn.Linear(4, 3), inner_lr=0.1)
    >>> x, y = torch.randn(6, 4), torch.arange(6) % 3
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in to_onnx(learner, f"{folder}/task.onnx", x=x, y=y)]
    ['task-start.onnx', 'task-step.onnx', 'task-predict.onnx']
    """
    check_installed("onnx")
    if bits not in (8, 32):
        raise InputError(f"bits is {bits!r}; expected 8 or 32")
    return write_onnx(export_of(source, what, x, y, norm), Path(out), bits)


def write_onnx(export: Export, out: Path, bits: int = 32) -> list[Path]:
    """Write the files of an export, all or none; what they compute is checked if it can be."""
    from fewstep.export.onnx_graph import model_of

    few = export.large if bits == 8 else ()
    contents = {}
    for ending, program in export.programs.items():
        name = ending or "predict"
        content = model_of(operations_of(program), name, export.about, few).SerializeToString()
        if bits == 32 and find_spec("onnxruntime") is not None:
            check_file(content, program, name)
        contents[export.places(out)[ending]] = content
    write_all_out(contents)
    export.remove_others(out)
    return list(contents)


def check_installed(package: str) -> None:
    """See that a package of the extra is there."""
    if find_spec(package) is None:
        raise InputError(
            f"{package} is not installed; install it with: pip install 'fewstep[export]'"
        )
