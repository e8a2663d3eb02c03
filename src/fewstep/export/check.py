"""Whether a file computes in a runtime what its program does in PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from fewstep.errors import InputError, first_line
from fewstep.export.program import MOST, OTHER, Program, apart
from fewstep.runtime.modes import exclusive


def check_file(content: bytes, program: Program, name: str) -> None:
    """See that onnxruntime computes the same.

    Raises:
        InputError: It refuses the file, or computes something else.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it refuses is told by its error
    given = program.with_examples(OTHER)
    with exclusive():
        expected = program.function(given)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        inputs = {one.name: as_input(given[one.name]) for one in session.get_inputs()}
        found = session.run(None, inputs)
    except Exception as error:
        raise InputError(
            f"onnxruntime refuses the file {name!r} that was made ({first_line(error)}); try "
            "format pt2, or another version of onnxruntime"
        ) from error
    for values, other in zip(found, expected.values(), strict=True):
        difference = apart(torch.from_numpy(values), other.detach())
        if not difference <= MOST:
            raise InputError(
                f"the file {name!r} differs in onnxruntime from PyTorch by {difference:.2g} of the "
                "largest number; nothing is written"
            )


def as_input(value: torch.Tensor) -> np.ndarray:
    """A tensor as the file takes it."""
    wanted = torch.float32 if value.is_floating_point() else torch.int64
    return value.detach().to(value.dtype if value.dtype == torch.bool else wanted).numpy()
