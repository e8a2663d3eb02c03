"""Whether a file computes in a runtime what its program does in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fewstep.errors import InputError
from fewstep.export.program import COUNTS, Program
from fewstep.runtime.modes import exclusive

EXAMPLES = 5  # other than those that the program was traced with
MOST = 1e-3
"""Difference, in units of the largest number, that rounding may make where ReLU decides by it."""

assert EXAMPLES not in COUNTS


def difference(content: bytes, program: Program, name: str) -> float:
    """The largest difference of a result, in units of its largest number.

    Raises:
        InputError: The runtime refuses the file, or computes something else.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    given = program.with_examples(EXAMPLES)
    with exclusive():
        expected = program.function(given)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        inputs = {one.name: given[one.name].detach().numpy() for one in session.get_inputs()}
        found = session.run(None, {n: _as_the_file_has_it(v) for n, v in inputs.items()})
    except Exception as error:
        raise InputError(
            f"onnxruntime refuses what was made of {name} ({str(error)[:200]!r}); please report it"
        ) from error
    pairs = zip(found, expected.values(), strict=True)
    worst = max((_apart(one, other.detach()) for one, other in pairs), default=0.0)
    if not worst <= MOST:
        raise InputError(
            f"{name} in onnxruntime differs from PyTorch by {worst:.2g} of its largest number; "
            "nothing is written"
        )
    return worst


def _apart(found: Any, expected: torch.Tensor) -> float:
    wanted = expected.double().numpy()
    if not np.isfinite(wanted).all():
        return 0.0
    # What is nothing but rounding is no reference.
    unit = max(float(np.abs(wanted).max(initial=0)), 1e-2)
    return float(np.abs(found - wanted).max(initial=0)) / unit


def _as_the_file_has_it(values: Any) -> Any:
    return values.astype(np.float32) if values.dtype.kind == "f" else values.astype(np.int64)
